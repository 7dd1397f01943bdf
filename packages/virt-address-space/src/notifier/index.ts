export { LocalNotifier } from "./local-notifier.ts";
export type { Notifier, NotifierDescriptor, NotifierOpener } from "./notifier.ts";
export { SharedNotifier, sharedNotifierOpener } from "./shared-notifier.ts";
