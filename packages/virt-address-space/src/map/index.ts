export { Transaction } from "./transaction.ts";
