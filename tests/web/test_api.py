"""The REST endpoint as a program uses it: files in, the same files with a restored face out, every refusal one line."""

from __future__ import annotations

import base64
import io
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.web.conftest import encoded
from unmask import __version__, images
from unmask.restore import STATEMENT, Restorer

Serve = Callable[..., Any]


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def gray(data: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def finished(client: Any, id: str) -> dict[str, Any]:
    """Wait for a job, as the page does."""
    for _ in range(400):
        state = client.get(f"/api/jobs/{id}").json()
        if state["state"] in ("done", "failed"):
            return state
        time.sleep(0.02)
    raise AssertionError(state)


def test_health_says_what_is_accepted(serve: Serve) -> None:
    found = serve(max_pixels=1234).get("/api/health").json()
    assert (found["status"], found["version"], found["statement"]) == ("ok", __version__, STATEMENT)
    assert found["limits"]["max_pixels"] == 1234
    assert found["unfinished"] == 0


def test_faces_and_the_region_of_each(serve: Serve) -> None:
    found = serve().post("/api/faces", files={"image": encoded()}).json()
    assert found["size"] == found["view"] == [120, 90]
    face = found["faces"][0]
    assert face["status"] == "masked" and face["bbox"] == [24, 9, 96, 81]
    region = gray(face["region"])
    assert region.shape == (90, 120)
    assert region[60, 60] == 255 and region[20, 60] == 0 and region[60, 2] == 0  # the lower half of the crop


def test_regions_have_the_size_that_is_shown(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unmask.web.work.PREVIEW", 60)
    client = serve()
    found = client.post("/api/faces", files={"image": encoded()}).json()
    assert (found["size"], found["view"]) == ([120, 90], [60, 45])
    small = gray(found["faces"][0]["region"]).astype(float)
    monkeypatch.undo()
    large = gray(client.post("/api/faces", files={"image": encoded()}).json()["faces"][0]["region"])
    halved = np.asarray(Image.fromarray(large).resize((60, 45), Image.Resampling.BOX), float)
    assert np.abs(small - halved).mean() < 3


@pytest.mark.parametrize("level, status", [(0, None), (255, "no mask")])
def test_no_face_and_no_face_mask_are_answers(serve: Serve, level: int, status: str | None) -> None:
    faces = serve().post("/api/faces", files={"image": encoded(level)}).json()["faces"]
    assert [face["status"] for face in faces] == ([status] if status else [])
    assert all(face["region"] is None for face in faces)


@pytest.mark.parametrize("format, mime", [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp"),
                                          ("TIFF", "image/tiff"), ("BMP", "image/bmp")])  # fmt: skip
def test_a_photo_comes_back_in_its_format_with_the_note(serve: Serve, format: str, mime: str) -> None:
    sent = encoded(format=format)
    answer = serve().post("/api/restore", files={"image": ("a b/Grüße.x.png", sent)})
    assert answer.status_code == 200 and answer.headers["content-type"] == mime
    assert answer.headers["content-disposition"].startswith("attachment; filename*=UTF-8''Gr%C3%BC%C3%9Fe.x.unmasked.")
    assert Image.open(io.BytesIO(answer.content)).format == format
    if format != "BMP":  # which cannot hold one
        assert images.read_note(answer.content)["statement"] == STATEMENT
    before, after = pixels(sent), pixels(answer.content)
    assert after[60, 60].min() > before[60, 60].max() + 70 and abs(int(before[60, 60, 0]) - 120) < 10
    if format in ("PNG", "TIFF", "BMP"):
        assert np.array_equal(after[:, :10], before[:, :10])


def test_it_is_the_library_that_restores(serve: Serve, restorer: Restorer) -> None:
    sent = encoded()
    answer = serve().post("/api/restore", files={"image": sent}, data={"seed": 3, "face": "largest"})
    assert answer.content == restorer.restore(sent, seed=3, face="largest").image


def test_a_region_of_the_same_proportions_is_scaled(serve: Serve) -> None:
    hidden = np.zeros((45, 60), np.uint8)
    hidden[25:35, 25:35] = 255
    answer = serve().post("/api/restore", files={"image": encoded(255 - 100), "region": encoded(hidden)})
    after = pixels(answer.content)
    assert after[60, 60].min() > 155 + 40
    assert abs(int(after[40, 60, 0]) - 157) < 12  # inside what the segmenter would have found, outside what was given


@pytest.mark.parametrize("send, status, words", [
    ({"image": b"no picture"}, 422, "not an image that can be read"),
    ({"image": b""}, 422, "the file is empty"),
    ({"image": encoded()[:200]}, 422, "damaged or cut short"),
    ({"image": encoded(0)}, 422, "no face found"),
    ({"image": encoded(255)}, 422, "no face mask found"),
    ({"image": encoded(), "region": b"nothing"}, 422, "the region: not an image"),
    ({"image": encoded(), "region": encoded(size=(90, 120))}, 422, "same proportions"),
    ({"image": encoded(), "region": encoded(0)}, 422, "covers no face"),
    ({"image": encoded(size=(300, 200))}, 422, "million pixels"),
    ({"image": b"x" * 300_000}, 413, "exceeds 0.19"),
    ({"picture": encoded()}, 422, "image: Field required"),
])  # fmt: skip
def test_refusals_are_one_line(serve: Serve, send: dict[str, bytes], status: int, words: str) -> None:
    client = serve(max_pixels=50_000, max_bytes=200_000)
    answer = client.post("/api/restore", files=send)
    assert answer.status_code == status
    assert words in answer.json()["detail"] and "\n" not in answer.json()["detail"]
    assert client.get("/api/health").json()["unfinished"] == 0


@pytest.mark.parametrize("field", [{"seed": -1}, {"seed": "x"}, {"face": "best"}, {"face": 4}])
def test_fields_are_checked(serve: Serve, field: dict[str, Any]) -> None:
    answer = serve().post("/api/restore", files={"image": encoded()}, data=field)
    assert answer.status_code == 422 and isinstance(answer.json()["detail"], str)


def test_an_upload_without_a_length_is_capped_as_well(serve: Serve) -> None:
    def body():  # chunks, so that the client states no length
        yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        for _ in range(100):
            yield b"y" * 10_000

    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = serve(max_bytes=50_000).post("/api/faces", content=body(), headers=headers)
    assert answer.status_code == 413 and "make the photo smaller" in answer.json()["detail"]


def test_a_job_gives_several_samples(serve: Serve, restorer: Restorer) -> None:
    client, sent = serve(), encoded(format="JPEG")
    answer = client.post("/api/jobs", files={"image": ("me.jpg", sent)}, data={"samples": 3, "seed": 7})
    assert answer.status_code == 202
    where = answer.headers["location"]
    assert where == f"/api/jobs/{answer.json()['id']}"
    made = finished(client, answer.json()["id"])["restored"]
    assert [one["number"] for one in made["samples"]] == [0, 1, 2] and made["spread"]
    assert [one["filename"] for one in made["samples"]] == [
        "me.unmasked.jpg", "me.unmasked-2.jpg", "me.unmasked-3.jpg"
    ]  # fmt: skip
    assert made["statement"] == STATEMENT and made["summary"] == "1 face restored"
    assert made["note"] == images.read_note(client.get(f"{where}/samples/0").content)
    several = restorer.restore(sent, seed=7, samples=3)
    got = [pixels(client.get(f"{where}/samples/{k}").content) for k in range(3)]
    for k in range(3):
        assert np.abs(got[k].astype(int) - several.sample(k)).mean() < 1  # JPEG
    assert any((got[0] != one).any() for one in got[1:])
    spread = pixels(client.get(f"{where}/spread").content)
    assert spread.shape == (90, 120, 3) and spread.max() > 5 > spread[:5].max()
    assert "me.unmasked-3.jpg" in client.get(f"{where}/samples/2").headers["content-disposition"]
    shown = client.get(f"{where}/samples/1/view")
    assert pixels(shown.content).shape == (90, 120, 3)
    assert images.read_note(shown.content)["statement"] == STATEMENT  # whoever saves the view has the note too
    assert np.abs(pixels(client.get(f"{where}/before").content).astype(int) - pixels(sent)).mean() < 2
    assert client.get(f"{where}/samples/3").status_code == 404
    assert client.delete(where).status_code == 204
    assert client.get(where).status_code == 404 and client.delete(where).status_code == 404


def test_a_job_that_finds_faces(serve: Serve) -> None:
    client = serve()
    job = client.post("/api/jobs", files={"image": encoded()}, data={"task": "faces"}).json()
    state = finished(client, job["id"])
    assert state["found"] == client.post("/api/faces", files={"image": encoded()}).json()
    assert state["restored"] is None
    assert client.get(f"/api/jobs/{job['id']}/before").headers["content-type"] == "image/jpeg"
    assert client.get(f"/api/jobs/{job['id']}/samples/0").status_code == 404


def test_a_job_that_fails_says_why(serve: Serve) -> None:
    client = serve()
    job = client.post("/api/jobs", files={"image": encoded(0)}).json()
    state = finished(client, job["id"])
    assert state["state"] == "failed" and "no face found" in state["error"]
    assert client.get(f"/api/jobs/{job['id']}/before").status_code == 404


class Slow:
    """A fill that waits to be let go; it tells how many are in it at once."""

    def __init__(self) -> None:
        self.gate, self.inside, self.most = threading.Event(), 0, 0

    def __call__(self, x: Any, region: Any) -> Any:
        self.inside += 1
        self.most = max(self.most, self.inside)
        assert self.gate.wait(20)
        self.inside -= 1
        return x * 0 + 1


def test_jobs_wait_in_line_and_see_their_place(serve: Serve, restorer: Restorer) -> None:
    slow = Slow()
    client = serve(Restorer(slow, restorer.segmenter, restorer.detector, size=restorer.size), max_waiting=2)
    ids = [client.post("/api/jobs", files={"image": encoded()}).json()["id"] for _ in range(3)]
    full = client.post("/api/jobs", files={"image": encoded()})
    assert full.status_code == 503 and "waiting already" in full.json()["detail"] and full.headers["retry-after"]
    states = [client.get(f"/api/jobs/{id}").json() for id in ids]
    assert [state["ahead"] for state in states] == [0, 1, 2]
    assert states[2]["state"] == "waiting" and client.get("/api/health").json()["unfinished"] == 3
    assert client.get(f"/api/jobs/{ids[2]}/before").status_code == 404
    assert client.delete(f"/api/jobs/{ids[1]}").status_code == 204
    assert client.get(f"/api/jobs/{ids[2]}").json()["ahead"] == 1
    slow.gate.set()
    assert finished(client, ids[0])["state"] == finished(client, ids[2])["state"] == "done"
    assert slow.most == 1


def test_an_error_of_ours_is_no_stack_trace(serve: Serve, restorer: Restorer) -> None:
    def broken(x: Any, region: Any) -> Any:
        raise RuntimeError("out of luck")

    client = serve(Restorer(broken, restorer.segmenter, restorer.detector, size=restorer.size))
    answer = client.post("/api/restore", files={"image": encoded()})
    assert answer.status_code == 500
    assert answer.json() == {"detail": "unexpected RuntimeError (out of luck); report it"}


@pytest.mark.parametrize("headers, status", [
    ({"host": "evil.example"}, 403),
    ({"host": "evil.example:8000"}, 403),
    ({"host": "[::1"}, 403),
    ({"host": "localhost:8000"}, 200),
    ({"host": "[::1]:8000"}, 200),
    ({"origin": "http://evil.example"}, 403),
    ({"origin": "null"}, 403),
    ({"origin": "http://[::1"}, 403),
    ({"sec-fetch-site": "cross-site"}, 403),
    ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 200),  # somebody followed a link
    ({"origin": "http://127.0.0.1", "sec-fetch-site": "same-origin"}, 200),
])  # fmt: skip
def test_other_sites_get_nothing(serve: Serve, headers: dict[str, str], status: int) -> None:
    assert serve().get("/api/health", headers=headers).status_code == status


def test_a_form_of_another_site_is_no_link(serve: Serve) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert serve().post("/api/restore", files={"image": encoded()}, headers=headers).status_code == 403


def test_a_service_for_others_answers_to_any_name(serve: Serve) -> None:
    assert serve(hosts=()).get("/api/health", headers={"host": "box.example"}).status_code == 200


def test_every_answer_has_strict_headers(serve: Serve) -> None:
    client = serve()
    for path in ("/", "/api/health", "/api/jobs/none", "/nothing"):
        headers = client.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers


def test_the_page_is_whole_and_fetches_nothing_from_elsewhere(serve: Serve) -> None:
    import re

    client = serve()
    page = client.get("/").text
    parts = re.findall(r'(?:src|href)="([^"#]+)"', page)
    assert any(part.endswith(".js") for part in parts) and any(part.endswith(".css") for part in parts)
    texts = [page]
    for part in parts:
        assert "//" not in part, part
        answer = client.get(f"/{part.lstrip('/')}")
        assert answer.status_code == 200, part
        texts.append(answer.text)
    for text in texts:
        assert not re.search(r"https?://(?!www\.w3\.org/)", text)
    assert "is a guess" in page and "no evidence" in page


def test_the_openapi_description_names_every_path(serve: Serve) -> None:
    described = serve().get("/api/openapi.json").json()
    assert set(described["paths"]) == {
        "/api/health", "/api/faces", "/api/restore", "/api/jobs", "/api/jobs/{id}", "/api/jobs/{id}/before",
        "/api/jobs/{id}/samples/{number}", "/api/jobs/{id}/samples/{number}/view", "/api/jobs/{id}/spread",
        "/api/clips", "/api/jobs/{id}/clip",
    }  # fmt: skip
    operations = [one for path in described["paths"].values() for one in path.values()]
    assert all(one.get("summary") and one.get("description") for one in operations)


def test_a_method_that_a_path_does_not_have(serve: Serve) -> None:
    client = serve()
    for path, methods in {
        "/api/health": ["GET"], "/api/faces": ["POST"], "/api/jobs": ["POST"], "/api/jobs/abc": ["DELETE", "GET"],
        "/api/jobs/abc/samples/0": ["GET"], "/": ["GET", "HEAD"],
    }.items():  # fmt: skip
        answer = client.put(path)
        assert answer.status_code == 405 and answer.headers["allow"] == ", ".join(methods), path
        assert answer.json()["detail"] == f"PUT is not for this path; it takes {', '.join(methods)}"
