// Files into one ZIP archive, stored as they are: photos are compressed already. (APPNOTE.TXT of PKWARE.)

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function crc32(bytes) {
  let sum = -1;
  for (const byte of bytes) sum = TABLE[(sum ^ byte) & 255] ^ (sum >>> 8);
  return ~sum >>> 0;
}

/** Little-endian numbers of [value, bytes] in a row. */
function packed(...fields) {
  const out = new DataView(new ArrayBuffer(fields.reduce((sum, [, size]) => sum + size, 0)));
  let at = 0;
  for (const [value, size] of fields) {
    if (size === 2) out.setUint16(at, value, true);
    else out.setUint32(at, value, true);
    at += size;
  }
  return out.buffer;
}

/** "a.png", "a.png" -> "a.png", "a (2).png" */
function unlike(name, taken) {
  const dot = name.lastIndexOf("."), stem = dot > 0 ? name.slice(0, dot) : name, end = dot > 0 ? name.slice(dot) : "";
  let out = name;
  for (let k = 2; taken.has(out); k++) out = `${stem} (${k})${end}`;
  taken.add(out);
  return out;
}

/** An archive of [{name, blob}] as a Blob; names that occur twice get a number. */
export async function zipped(files, now = new Date()) {
  const day = ((now.getFullYear() - 1980) << 9) | ((now.getMonth() + 1) << 5) | now.getDate();
  const time = (now.getHours() << 11) | (now.getMinutes() << 5) | (now.getSeconds() >> 1);
  const parts = [], entries = [], taken = new Set();
  let at = 0;
  for (const { name, blob } of files) {
    const called = new TextEncoder().encode(unlike(name, taken));
    const sum = crc32(new Uint8Array(await blob.arrayBuffer()));
    const facts = [[20, 2], [0x800, 2], [0, 2], [time, 2], [day, 2], [sum, 4], [blob.size, 4], [blob.size, 4], [called.length, 2], [0, 2]];
    const head = packed([0x04034b50, 4], ...facts);
    parts.push(head, called, blob);
    entries.push(packed([0x02014b50, 4], [20, 2], ...facts, [0, 2], [0, 2], [0, 2], [0, 4], [at, 4]), called);
    at += head.byteLength + called.length + blob.size;
  }
  const size = entries.reduce((sum, part) => sum + part.byteLength, 0);
  const end = packed([0x06054b50, 4], [0, 2], [0, 2], [files.length, 2], [files.length, 2], [size, 4], [at, 4], [0, 2]);
  return new Blob([...parts, ...entries, end], { type: "application/zip" });
}

/** Give a file to the person. */
export function save(blob, name) {
  const link = document.createElement("a");
  Object.assign(link, { href: URL.createObjectURL(blob), download: name }).click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
