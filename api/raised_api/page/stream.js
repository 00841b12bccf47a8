// The stream of changes, read with fetch: a key would travel in a header, never in an address.
// Resumes after the last change that was seen.

const WAIT_MS = 3000;
const MAX_WAIT_MS = 30000;
// The server sends a ping every 15 seconds: after this long without one, the connection is dead.
const SILENCE_MS = 40000;

export async function follow(url, { onMessage, onState }) {
  let lastEventId = null;
  let wait = WAIT_MS;
  for (;;) {
    try {
      onState("connecting");
      await readOnce(url, lastEventId, (message) => {
        if (message.id !== null) lastEventId = message.id;
        wait = WAIT_MS;
        onState("live");
        onMessage(message);
      });
    } catch (error) {
      console.info("stream", error);
    }
    onState("reconnecting");
    await new Promise((done) => setTimeout(done, wait));
    wait = Math.min(wait * 2, MAX_WAIT_MS);
  }
}

async function readOnce(url, lastEventId, onMessage) {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  const headers = lastEventId === null ? {} : { "Last-Event-ID": lastEventId };
  try {
    const answer = await fetch(url, { headers, signal: silence.signal, cache: "no-store" });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
      text += value;
      const blocks = text.split("\n\n");
      text = blocks.pop();
      for (const block of blocks) {
        const message = parse(block);
        if (message !== null) onMessage(message);
      }
    }
  } finally {
    clearTimeout(timer);
  }
}

function parse(block) {
  const message = { id: null, event: "message", data: "" };
  for (const line of block.split("\n")) {
    if (line.startsWith("id: ")) message.id = line.slice(4);
    else if (line.startsWith("event: ")) message.event = line.slice(7);
    else if (line.startsWith("data: ")) message.data += line.slice(6);
  }
  return message.data === "" ? null : message;
}
