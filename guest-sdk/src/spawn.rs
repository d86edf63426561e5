//! Making coroutines: a function of this module, or of another, as a coroutine of its own.

use crate::address::Address;
use crate::cbor::to_cbor;
use crate::error::{Code, Error, check};
use crate::ids::ModuleHash;
use crate::sys::{self, SpawnOptions};
use crate::time::nanoseconds;
use serde::Serialize;
use std::time::Duration;

/// Makes a coroutine that runs a function of this module: say what it is to have, then [`start`](Spawn::start) it.
///
/// What it prints goes to the client of this coroutine. It ends by itself, or with its computation.
///
/// ```no_run
/// # fn main() -> Result<(), corovan_guest::Error> {
/// let first = corovan_guest::spawn("greet").arg("world").arg(3).start()?;
/// let second = corovan_guest::spawn("listen").start()?;
/// # Ok(())
/// # }
/// ```
pub fn spawn(function: &str) -> Spawn {
    Spawn::new(function)
}

/// A coroutine that is to be made, see [`spawn`]. It can be kept and started many times, and never has more than its parent:
/// memory, time and rights are cut to that.
///
/// ```no_run
/// use corovan_guest::Spawn;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), corovan_guest::Error> {
/// let worker = Spawn::new("worker").args(("parts/7", 2.5)).monitor().deadline(Duration::from_secs(60));
/// let (first, second) = (worker.start()?, worker.start()?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is made before `start`"]
pub struct Spawn {
    function: String,
    /// The items of the array, one after the other.
    args: Vec<u8>,
    count: usize,
    /// The first argument that could not be encoded.
    wrong: Option<Error>,
    flags: u32,
    module: Option<ModuleHash>,
    place: String,
    rights: Vec<String>,
    timeout: Option<Duration>,
    deadline: Option<Duration>,
    memory: u64,
}

impl Spawn {
    /// A function of this module.
    pub fn new(function: &str) -> Spawn {
        Spawn {
            function: function.to_owned(),
            args: Vec::new(),
            count: 0,
            wrong: None,
            flags: 0,
            module: None,
            place: String::new(),
            rights: Vec::new(),
            timeout: None,
            deadline: None,
            memory: 0,
        }
    }

    /// The next argument.
    pub fn arg(mut self, value: impl Serialize) -> Spawn {
        match to_cbor(&value) {
            Ok(item) => {
                self.args.extend(item);
                self.count += 1;
            }
            Err(error) => self.wrong = self.wrong.or(Some(error)),
        }
        self
    }

    /// The next arguments: a tuple, list or array of them; `()` for none.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), corovan_guest::Error> {
    /// let files = ["a.csv", "b.csv"];
    /// corovan_guest::spawn("join").arg("out.csv").args(files).start()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn args(mut self, values: impl Serialize) -> Spawn {
        match to_cbor(&values).and_then(items) {
            Ok((count, items)) => {
                self.args.extend(items);
                self.count += count;
            }
            Err(error) => self.wrong = self.wrong.or(Some(error)),
        }
        self
    }

    /// Its computation does not wait for it: when all others have ended, it is terminated. For servers.
    pub fn daemon(self) -> Spawn {
        self.flag(SpawnOptions::DAEMON)
    }

    /// One exit message comes when it ends, as if [`monitor`](Address::monitor) were called before it begins.
    pub fn monitor(self) -> Spawn {
        self.flag(SpawnOptions::MONITOR)
    }

    /// The abnormal end of either terminates the other.
    pub fn link(self) -> Spawn {
        self.flag(SpawnOptions::LINK)
    }

    /// A function of another module, which the node has from this tenant.
    pub fn module(mut self, module: ModuleHash) -> Spawn {
        self.module = Some(module);
        self
    }

    /// The most memory it may have, in bytes; never more than this coroutine's own limit. Otherwise what its module wants.
    pub fn memory(mut self, bytes: u64) -> Spawn {
        self.memory = bytes;
        self
    }

    /// The wall time it may take; never more than this coroutine has left, which is what it gets otherwise.
    pub fn deadline(mut self, time: Duration) -> Spawn {
        self.deadline = Some(time);
        self
    }

    /// On another node: its name or address, a label `KEY=VALUE`, `cores>=4` or `memory>=2GiB` that it has, several with commas; names
    /// and values may have `*` and `?`. Of several in turn; none is `node-lost`.
    pub fn at(mut self, place: &str) -> Spawn {
        self.place = place.to_owned();
        self
    }

    /// On any node of the mesh, in turn, or on any that [`at`](Spawn::at) allows.
    pub fn anywhere(self) -> Spawn {
        self.flag(SpawnOptions::ANYWHERE)
    }

    /// How long another node may take to accept it; 10 s otherwise.
    pub fn timeout(mut self, timeout: Duration) -> Spawn {
        self.timeout = Some(timeout);
        self
    }

    /// Gives it a right, which this coroutine must have. Without any it has none.
    pub fn right(mut self, right: &str) -> Spawn {
        self.rights.push(right.to_owned());
        self
    }

    /// The function's name.
    pub fn function(&self) -> &str {
        &self.function
    }

    /// Makes the coroutine, which begins when this one waits or its time slice ends.
    ///
    /// # Errors
    /// `unknown-function`; `overloaded` when a quota is used up; `denied`; `too-large` for arguments over 16 MiB; `invalid`
    /// for arguments without CBOR form; `need-module` and `bad-module`; `shutting-down`; with another node `timeout`,
    /// `node-lost` and `interrupted`.
    pub fn start(&self) -> Result<Address, Error> {
        if let Some(error) = &self.wrong {
            return Err(error.clone());
        }
        let args = array(self.count, &self.args);
        let rights = if self.rights.is_empty() { Vec::new() } else { to_cbor(&self.rights)? };
        let none = std::ptr::null();
        let options = SpawnOptions {
            size: size_of::<SpawnOptions>() as u32,
            flags: self.flags,
            module: self.module.as_ref().map_or(none, |module| module.as_bytes().as_ptr()),
            place: if self.place.is_empty() { none } else { self.place.as_ptr() },
            place_len: self.place.len() as u32,
            rights_len: rights.len() as u32,
            rights: if rights.is_empty() { none } else { rights.as_ptr() },
            reserved: 0,
            timeout: asked(self.timeout),
            deadline: asked(self.deadline),
            memory: self.memory,
        };
        let function = self.function.as_bytes();
        let mut address = [0; Address::SIZE];
        // SAFETY: all pointers and lengths are those of slices that live through the call and are only read; the node
        // writes the 32 bytes of an address.
        check(unsafe {
            sys::spawn(
                function.as_ptr(),
                function.len(),
                args.as_ptr(),
                args.len(),
                &raw const options,
                address.as_mut_ptr(),
            )
        })?;
        Ok(Address::from_bytes(address))
    }

    fn flag(mut self, flag: u32) -> Spawn {
        self.flags |= flag;
        self
    }
}

/// Where the interface takes 0 for "not said", no time at all is the shortest there is.
fn asked(time: Option<Duration>) -> u64 {
    time.map_or(0, |time| nanoseconds(time).max(1))
}

/// A CBOR array of these items.
pub(crate) fn array(count: usize, items: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + items.len());
    match u8::try_from(count) {
        Ok(count @ 0..24) => bytes.push(ARRAY | count),
        Ok(count) => bytes.extend([ARRAY | 24, count]),
        Err(_) => {
            bytes.push(ARRAY | 26);
            bytes.extend((count as u32).to_be_bytes());
        }
    }
    bytes.extend(items);
    bytes
}

/// How many items an array has, and the items; null is none.
pub(crate) fn items(mut array: Vec<u8>) -> Result<(usize, Vec<u8>), Error> {
    let head = match array.first() {
        Some(0xf6) if array.len() == 1 => return Ok((0, Vec::new())),
        Some(short @ 0x80..=0x97) => Some((usize::from(short & 0x1f), 1)),
        Some(long @ 0x98..=0x9a) => {
            let size = 1 << ((long & 0x1f) - 24);
            let number = array.get(1..=size);
            number.map(|number| (number.iter().fold(0, |n, byte| n << 8 | usize::from(*byte)), 1 + size))
        }
        _ => None,
    };
    let (count, head) =
        head.ok_or_else(|| Error::new(Code::Invalid, "arguments are a tuple, a list or an array of known length"))?;
    array.drain(..head);
    Ok((count, array))
}

/// Major type 4.
const ARRAY: u8 = 0x80;
/// The longest head of an array that is written here.
const HEAD: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use ciborium::Value;

    fn args(spawn: &Spawn) -> Value {
        crate::from_cbor(&array(spawn.count, &spawn.args)).unwrap()
    }

    #[test]
    fn arguments_become_one_array_in_their_order() {
        let spawn = Spawn::new("f").arg(1).args(("a", [2, 3])).args(()).arg(()).args(Vec::<u8>::new());
        let expected = Value::serialized(&(1, "a", [2, 3], ())).unwrap();
        assert_eq!(args(&spawn), expected);
        assert!(spawn.wrong.is_none());
    }

    #[test]
    fn arrays_of_every_length_are_joined() {
        for count in [0, 1, 23, 24, 255, 256, 70_000] {
            let numbers: Vec<usize> = (0..count).collect();
            let spawn = Spawn::new("f").arg(true).args(&numbers);
            assert_eq!(spawn.count, count + 1);
            let Value::Array(values) = args(&spawn) else { panic!("an array") };
            assert_eq!((values.len(), values.first()), (count + 1, Some(&Value::Bool(true))));
            assert_eq!(
                values.last(),
                Some(&numbers.last().map_or(Value::Bool(true), |last| Value::from(*last as u64)))
            );
        }
    }

    #[test]
    fn arguments_that_are_no_list_are_refused_before_anything_is_asked_of_the_node() {
        let error = Spawn::new("f").args("text").arg(1).start().unwrap_err();
        assert_eq!((error.code, error.detail.contains("a tuple")), (Code::Invalid, true), "{error}");
    }
}
