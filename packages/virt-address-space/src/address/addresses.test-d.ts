import { expectTypeOf, test } from "vitest";
import { type GuestAddress, gpa, type IoVirtualAddress, iova, type PeerVirtualAddress, peerAddress } from "./addresses.ts";

test("the three kinds of addresses can't be mixed up", () => {
  expectTypeOf(gpa(0)).toEqualTypeOf<GuestAddress>();
  expectTypeOf(iova(0)).not.toExtend<GuestAddress>();
  expectTypeOf(peerAddress(0)).not.toExtend<GuestAddress>();
  expectTypeOf<IoVirtualAddress>().not.toExtend<PeerVirtualAddress>();
  expectTypeOf<number>().not.toExtend<GuestAddress>();
  expectTypeOf<GuestAddress>().toExtend<number>();
});
