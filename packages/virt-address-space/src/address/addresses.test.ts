import { describe, expect, test } from "vitest";
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import { advance, gpa, iova, MAX_ADDRESS, peerAddress, tryGpa } from "./addresses.ts";

const wrong: readonly (number | bigint)[] = [-1, 0.5, Number.NaN, 2 ** 52, 2 ** 53, Number.POSITIVE_INFINITY, -1n, 1n << 52n];

describe("addresses", () => {
  test.each([0, 1, 0xffff_ffff, MAX_ADDRESS])("%d is one", (value) => {
    expect(gpa(value)).toBe(value);
    expect(gpa(BigInt(value))).toBe(value);
    expect(tryGpa(value)).toBe(value);
    expect(iova(value)).toBe(value);
    expect(peerAddress(value)).toBe(value);
  });

  test.each(wrong)("%s is none", (value) => {
    for (const make of [gpa, iova, peerAddress]) {
      expect(() => make(value)).toThrow(expect.objectContaining({ code: "invalid-address" }));
    }
    expect(tryGpa(value)).toBeUndefined();
  });

  test("what is no number at all is none", () => {
    for (const value of [undefined, null, "0x1000", {}]) {
      expect(() => gpa(value as never)).toThrow(expect.objectContaining({ code: "invalid-address" }));
    }
  });

  test("advance checks the sum", () => {
    expect(advance(gpa(0x1000), 16)).toBe(0x1010);
    expect(() => advance(gpa(MAX_ADDRESS), 1)).toThrow(/2\^52/);
    expect(() => advance(gpa(0), -1)).toThrow(/not a guest physical address/);
  });
});

test("an error tells its code, and is known across copies of the package", () => {
  let caught: unknown;
  try {
    gpa(-1);
  } catch (error) {
    caught = error;
  }
  expect(VirtAddressSpaceError.is(caught)).toBe(true);
  expect(VirtAddressSpaceError.is(caught, "invalid-address")).toBe(true);
  expect(VirtAddressSpaceError.is(caught, "overlap")).toBe(false);
  expect(VirtAddressSpaceError.is(new Error("other"))).toBe(false);
  expect(VirtAddressSpaceError.is(undefined)).toBe(false);
});
