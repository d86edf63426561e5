//! Our standard input to a job's.

use corovan_client::StdinWriter;
use corovan_core::limits;
use std::io::Read;
use tokio::sync::mpsc;

/// Forwards until either end closes. A terminal's read cannot be cancelled, so a thread of its own does it: the command
/// can end while it waits.
pub fn forward(mut writer: StdinWriter) {
    let (send, mut receive) = mpsc::channel::<Vec<u8>>(1);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        loop {
            let mut buffer = vec![0; limits::READ_BYTES];
            match stdin.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(n) => buffer.truncate(n),
            }
            if send.blocking_send(buffer).is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        loop {
            tokio::select! {
                chunk = receive.recv() => match chunk {
                    Some(chunk) => if writer.write(&chunk).await.is_err() { return },
                    None => return writer.finish(),
                },
                () = writer.closed() => return,
            }
        }
    });
}
