//! Coroutines: engine, scheduler, clock, and the ports through which they reach the rest.
