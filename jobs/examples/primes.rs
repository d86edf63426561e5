//! primes: computes and never yields. Shows that a node takes the CPU from a busy coroutine in time slices, and gives a map
//! over many nodes something to do whose result is easily checked: below 1,000,000 there are 78,498.

/// Counts the primes below n.
#[corovan_guest::coroutine]
fn primes(n: u64) -> u64 {
    (2..n).filter(|candidate| is_prime(*candidate)).count() as u64
}

/// Counts the primes from one number up to, not including, another: a part of the work, for a map.
#[corovan_guest::coroutine]
fn primes_between(from: u64, to: u64) -> u64 {
    (from.max(2)..to).filter(|candidate| is_prime(*candidate)).count() as u64
}

/// Trial division: plain CPU work, without memory that would grow with `n`.
fn is_prime(n: u64) -> bool {
    if n.is_multiple_of(2) {
        return n == 2;
    }
    (3..).step_by(2).take_while(|divisor| divisor * divisor <= n).all(|divisor| !n.is_multiple_of(divisor))
}
