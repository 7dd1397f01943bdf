/**
 * Suites that implementations of virtspace's contracts must pass, as vitest tests.
 *
 * @packageDocumentation
 */
export { type MemoryProviderFixture, type MemoryProviderSuiteOptions, memoryProviderSuite } from "./memory-provider-suite.ts";
