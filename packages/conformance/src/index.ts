/**
 * Suites that implementations of virtspace's contracts must pass, as vitest tests.
 *
 * @packageDocumentation
 */
export { type MemoryProviderFixture, memoryProviderSuite, type MemoryProviderSuiteOptions } from "./memory-provider-suite.ts";
