/** Says each text once, however many runs bring it. */
export function sayOnce(say: (line: string) => void): (warnings: readonly string[]) => void {
  const said = new Set<string>();
  return (warnings) => {
    for (const text of warnings) {
      if (said.has(text)) continue;
      said.add(text);
      say(`warning: ${text}`);
    }
  };
}
