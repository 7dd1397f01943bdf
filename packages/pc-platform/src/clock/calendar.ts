/** Time as the registers of a clock have it. @see Motorola MC146818 data sheet, "Time, Calendar, and Alarm Locations" @module */

/** Registers of the calendar. */
export const Field = { second: 0, minute: 2, hour: 4, weekday: 6, day: 7, month: 8, year: 9, century: 0x32 } as const;

const AFTERNOON = 0x80;

/** How numbers stand in the registers. */
export interface CalendarForm {
  /** Whole numbers; else two decimal digits. */
  readonly binary: boolean;
  /** Hours up to 23; else up to 12, with a bit for the afternoon. */
  readonly twentyFour: boolean;
}

const toDigits = (value: number): number => Math.floor(value / 10) * 16 + (value % 10);
const fromDigits = (value: number): number => (value >> 4) * 10 + (value & 15);

/** @returns what a register shows at a time (milliseconds since 1970, UTC); undefined for one that shows none */
export function calendarRegister(index: number, time: number, form: CalendarForm): number | undefined {
  const date = new Date(time);
  const shown = form.binary ? (value: number) => value : toDigits;
  switch (index) {
    case Field.second:
      return shown(date.getUTCSeconds());
    case Field.minute:
      return shown(date.getUTCMinutes());
    case Field.hour: {
      const hour = date.getUTCHours();
      return form.twentyFour ? shown(hour) : shown(hour % 12 || 12) | (hour < 12 ? 0 : AFTERNOON);
    }
    case Field.weekday:
      return shown(date.getUTCDay() + 1);
    case Field.day:
      return shown(date.getUTCDate());
    case Field.month:
      return shown(date.getUTCMonth() + 1);
    case Field.year:
      return shown(date.getUTCFullYear() % 100);
    case Field.century:
      return shown(Math.floor(date.getUTCFullYear() / 100) % 100);
    default:
      return undefined;
  }
}

/** @returns the time that registers show; undefined where they show none */
export function fromRegisters(bytes: Uint8Array, form: CalendarForm): number | undefined {
  const read = (index: number): number => (form.binary ? (bytes[index] as number) : fromDigits(bytes[index] as number));
  const hourByte = bytes[Field.hour] as number;
  const twelve = form.binary ? hourByte & ~AFTERNOON : fromDigits(hourByte & ~AFTERNOON);
  const hour = form.twentyFour ? read(Field.hour) : (twelve % 12) + ((hourByte & AFTERNOON) === 0 ? 0 : 12);
  const [second, minute, day, month] = [read(Field.second), read(Field.minute), read(Field.day), read(Field.month)];
  if (second > 59 || minute > 59 || hour > 23 || day < 1 || day > 31 || month < 1 || month > 12) return undefined;
  return Date.UTC(read(Field.century) * 100 + read(Field.year), month - 1, day, hour, minute, second);
}
