/** A guest's console, line by line. @module */

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
/** A guest's line may have no end. */
const MOST_CHARACTERS = 4096;

/**
 * Puts bytes together.
 *
 * @param onLine - told of each line, without its end; one of more than 4096 characters comes in pieces
 * @returns what bytes go into: `new Uart({ ports, onByte: consoleLines(console.log) })`
 */
export function consoleLines(onLine: (line: string) => void): (byte: number) => void {
  let line = "";
  return (byte) => {
    if (byte === CARRIAGE_RETURN) return;
    if (byte !== LINE_FEED) line += String.fromCharCode(byte);
    if (byte !== LINE_FEED && line.length < MOST_CHARACTERS) return;
    const whole = line;
    line = "";
    onLine(whole);
  };
}
