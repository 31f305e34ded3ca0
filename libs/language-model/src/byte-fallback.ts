/** The part of the library's decoders used here. */
export interface LibraryDecoder {
  config: { type: string };
  decode_chain(tokens: string[]): string[];
  /** Of a sequence of decoders. */
  decoders?: LibraryDecoder[];
}

/**
 * Makes the byte-fallback step of a decoder do as Python's tokenizers does: a run of byte tokens that is no UTF-8 becomes one
 * U+FFFD for each byte, and a byte order mark stays. (The library's own step decodes as a browser would.)
 */
export function repairByteFallback(decoder: LibraryDecoder | null): void {
  if (decoder?.config.type === 'ByteFallback') decoder.decode_chain = decodeByteTokens;
  decoder?.decoders?.forEach(repairByteFallback);
}

function decodeByteTokens(tokens: string[]): string[] {
  const out: string[] = [];
  let run: number[] = [];
  const endRun = () => {
    if (run.length > 0) out.push(decodeBytes(run));
    run = [];
  };
  for (const token of tokens) {
    const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1];
    if (byte !== undefined) run.push(parseInt(byte, 16));
    else {
      endRun();
      out.push(token);
    }
  }
  endRun();
  return out;
}

function decodeBytes(bytes: number[]): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes));
  } catch {
    return '\uFFFD'.repeat(bytes.length);
  }
}
