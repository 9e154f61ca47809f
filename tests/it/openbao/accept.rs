//! A port of the tests: each connection has a thread of its own, and none is left uncounted.

use std::collections::HashSet;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

/// Listens on a free port until it is dropped, which ends its connections, too.
pub(super) struct Port {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    fence_seen: Condvar,
}

#[derive(Default)]
struct State {
    /// A second handle to each that is open.
    connections: Vec<Option<TcpStream>>,
    /// Connections of our own, by which it is known that all earlier ones were counted.
    fences: HashSet<SocketAddr>,
    closing: bool,
}

impl Port {
    /// `serve` gets each connection with its number, from 0.
    pub(super) fn open(serve: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared::default());
        let accepting = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared, &Arc::new(serve))
        });
        Self { address, shared, accepting: Some(accepting) }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections were made before this call.
    pub(super) fn connections(&self) -> usize {
        let fence = {
            let mut state = self.shared.state.lock().expect("no panic");
            // Made under the lock: it is known before the other thread can ask what it is.
            let fence = TcpStream::connect(self.address).expect("it listens");
            state.fences.insert(fence.local_addr().expect("connected"));
            fence
        };
        let own = fence.local_addr().expect("connected");
        let state = self.shared.state.lock().expect("no panic");
        let waits = |state: &mut State| state.fences.contains(&own);
        let state = self.shared.fence_seen.wait_while(state, waits).expect("no panic");
        state.connections.len()
    }
}

fn accept<F>(listener: &TcpListener, shared: &Arc<Shared>, serve: &Arc<F>)
where
    F: Fn(usize, TcpStream) + Send + Sync + 'static,
{
    loop {
        let (stream, peer) = listener.accept().expect("a connection");
        let mut state = shared.state.lock().expect("no panic");
        if state.closing {
            return;
        }
        if state.fences.remove(&peer) {
            shared.fence_seen.notify_all();
            continue;
        }
        // What is answered in pieces comes in pieces.
        stream.set_nodelay(true).expect("a connection");
        let number = state.connections.len();
        state.connections.push(Some(stream.try_clone().expect("a second handle")));
        let serve = Arc::clone(serve);
        let ending = Ending { shared: Arc::clone(shared), number };
        std::thread::spawn(move || {
            let _ending = ending;
            serve(number, stream);
        });
    }
}

/// Ends a connection when its thread does, by a panic too: nobody waits for an answer then.
struct Ending {
    shared: Arc<Shared>,
    number: usize,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock().expect("no panic");
        if let Some(stream) = state.connections[self.number].take() {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock().expect("no panic");
        state.closing = true;
        for stream in state.connections.iter().flatten() {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        drop(state);
        // The thread wakes for one more connection, and ends.
        let woken = TcpStream::connect(self.address);
        if let (Ok(_), Some(accepting)) = (woken, self.accepting.take()) {
            accepting.join().expect("no panic");
        }
    }
}
