//! What several of the programs begin with: a connection, a computation, the client's own mailbox, and the module that they ship.

use anyhow::{Context, Result, bail};
use corovan_client::{
    Arguments, Computation, ConnectOptions, Credentials, Job, Mailbox, Module, Node, Prepare, Remote, SubmitOptions,
};
use std::path::Path;

/// As the command line has it: `CERTS-DIR TENANT HOST:PORT MODULE`, and what is left of it.
pub struct Client {
    pub node: Node,
    pub computation: Computation,
    pub mailbox: Mailbox,
    pub module: Module,
    pub rest: Vec<String>,
}

impl Client {
    /// `usage`: what follows the module.
    pub async fn open(name: &str, usage: &str) -> Result<Client> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let [certs, tenant, address, file, rest @ ..] = &words[..] else {
            bail!("usage: {name} CERTS-DIR TENANT HOST:PORT MODULE {usage}");
        };
        let dir = Path::new(certs);
        let (certificate, key) = (dir.join(format!("tenant-{tenant}.crt")), dir.join(format!("tenant-{tenant}.key")));
        let credentials = Credentials::load(certificate, key, dir.join("ca.crt"))?;
        let node = Node::connect(address, &credentials, ConnectOptions::default()).await?;
        let computation = node.open(name).await?;
        let mailbox = computation.mailbox().await?;
        Ok(Client { node, computation, mailbox, module: Module::from_file(file)?, rest: rest.to_vec() })
    }

    /// The number at this place behind the module.
    pub fn number(&self, place: usize, what: &str) -> Result<u64> {
        let word = self.rest.get(place).with_context(|| format!("{what} is missing"))?;
        word.parse().with_context(|| format!("{what} is a number, not {word:?}"))
    }

    /// Runs a function of the module at a node, whose first arguments are given.
    pub async fn start(&self, function: &str, arguments: Arguments, at: &str) -> Result<Job> {
        let spec = self.computation.prepare(Prepare::function(self.module.clone(), function)).await?;
        let options = SubmitOptions { at: Some(at.to_owned()), ..SubmitOptions::default() };
        Ok(self.computation.submit(&spec, arguments, options).await?)
    }

    /// The next that says that it is there: its first message.
    pub async fn partner(&mut self) -> Result<Remote> {
        let hello = self.mailbox.receive().await.context("the computation is over")?;
        Ok(self.mailbox.remote(hello.from))
    }

    /// The end: of the computation, and of the connection.
    pub async fn close(self) -> Result<()> {
        self.computation.close().await?;
        self.node.close().await;
        Ok(())
    }
}
