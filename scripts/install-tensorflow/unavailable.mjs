/** This machine lacks what the installation needs, now or for good; any other error is a fault of the installation. */
export class Unavailable extends Error {}

/** Exit status for it: EX_UNAVAILABLE of sysexits.h. */
export const unavailableStatus = 69;
