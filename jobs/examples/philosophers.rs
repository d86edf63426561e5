//! philosophers: five of them at a table with five forks, of which each needs two to eat. Shows locks between coroutines that share
//! no memory, and how to take several without a deadlock: always the one with the lower number first.

use corovan_guest::locks::Lock;
use corovan_guest::messaging::Mailbox;
use corovan_guest::{Address, Error, Spawn, spawn, time};
use std::time::Duration;

/// Seats so many philosophers, each of whom eats so many meals of so many seconds. Gives the number of meals.
#[corovan_guest::coroutine]
fn philosophers(n: Option<u32>, meals: Option<u32>, seconds: Option<f64>) -> Result<u32, Error> {
    let n = n.unwrap_or(5);
    let table = spawn("table").arg(n).daemon().start()?;
    let philosopher: Spawn =
        spawn("philosopher").arg(table).arg(n).arg(meals.unwrap_or(3)).arg(seconds.unwrap_or(0.01));
    let mut seated = Vec::new();
    for i in 0..n {
        seated.push(philosopher.clone().arg(i).start()?);
    }
    let mut eaten = 0;
    for philosopher in seated {
        eaten += philosopher.join(None)?.value::<u32>()?;
    }
    Ok(eaten)
}

/// Eats so many meals, each with both forks beside its plate.
#[corovan_guest::coroutine]
fn philosopher(table: Address, n: u32, meals: u32, seconds: f64, i: u32) -> Result<u32, Error> {
    let (left, right) = (i, (i + 1) % n);
    let first = Lock::open(&format!("fork {}", left.min(right)))?;
    let second = Lock::open(&format!("fork {}", left.max(right)))?;
    for meal in 1..=meals {
        let _first = first.acquire(None)?;
        let _second = second.acquire(None)?;
        table.request::<_, ()>(&(i, true), None)?;
        println!("philosopher {i} eats meal {meal}");
        time::sleep(Duration::from_secs_f64(seconds))?;
        table.request::<_, ()>(&(i, false), None)?;
    }
    Ok(meals)
}

/// Sees who begins and who ends to eat. Two neighbours at the same time have the same fork: then it fails, and with it
/// whoever asks.
#[corovan_guest::coroutine]
fn table(n: u32) -> Result<(), Error> {
    let mailbox = Mailbox::<(u32, bool)>::new();
    let mut eating = vec![false; n as usize];
    loop {
        let message = mailbox.next()?;
        let (i, begins) = message.value;
        let (i, n) = (i as usize, eating.len());
        assert!(
            !(begins && (eating[(i + 1) % n] || eating[(i + n - 1) % n])),
            "philosopher {i} has a neighbour's fork"
        );
        eating[i] = begins;
        message.answer(&())?;
    }
}
