//! Background tasks by kind: what an error does and when shutdown waits.
