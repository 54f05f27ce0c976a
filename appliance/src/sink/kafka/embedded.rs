//! `brokers = "mock"`: a Kafka cluster inside this process, made by librdkafka.
//!
//! It listens on loopback, on a port that the system chooses, and any client on this machine may read from it while the
//! process lives. It keeps at most 5 MiB or 100,000 messages of each partition, in memory: enough to look at, no store.

use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use rdkafka::mocking::MockCluster;

use super::topic::Topics;
use crate::config::KafkaSink as Config;
use crate::config::kafka::MOCK;

/// Partitions of the topics that are made at start.
const PARTITIONS: i32 = 4;

/// The cluster; it lives until this is dropped.
#[derive(Debug)]
pub struct Embedded {
    bootstrap: String,
    /// Dropped to tell the thread to end.
    alive: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Embedded {
    /// `host:port` for other clients.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// A cluster of one broker with these topics. librdkafka's handle may not change threads, so it stays in one of its own.
    fn start(topics: &Topics) -> Result<Self, String> {
        let topics: Vec<String> = topics.fixed().into_iter().map(str::to_owned).collect();
        let (alive, until_dropped) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let work = move || match cluster(&topics) {
            Ok(cluster) => {
                // The receiver waits for just this; then until the sender of `alive` is gone.
                let _ = tell.send(Ok(cluster.bootstrap_servers()));
                let _ = until_dropped.recv();
            }
            Err(fault) => drop(tell.send(Err(fault))),
        };
        let thread = thread::Builder::new().name("kafka-embedded".into()).spawn(work).map_err(|fault| fault.to_string())?;
        let bootstrap = told.recv().map_err(|_| "the embedded cluster ended at once".to_owned())??;
        tracing::info!(bootstrap, "embedded Kafka listens; read it with: kcat -C -b {bootstrap} -t TOPIC");
        Ok(Self { bootstrap, alive: Some(alive), thread: Some(thread) })
    }
}

fn cluster(topics: &[String]) -> Result<MockCluster<'static, rdkafka::producer::DefaultProducerContext>, String> {
    let cluster = MockCluster::new(1).map_err(|fault| format!("the embedded cluster cannot start: {fault}"))?;
    for topic in topics {
        cluster.create_topic(topic, PARTITIONS, 1).map_err(|fault| format!("topic {topic}: {fault}"))?;
    }
    Ok(cluster)
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.alive = None;
        if let Some(thread) = self.thread.take() {
            // It does nothing that could fault.
            let _ = thread.join();
        }
    }
}

/// Starts the embedded cluster if it is asked for; the configuration that comes back names real addresses.
///
/// # Errors
/// A topic's name is none, or the cluster cannot start.
pub fn embed(config: &Config) -> Result<(Config, Option<Embedded>), String> {
    let topics = Topics::new(config)?;
    if config.brokers != MOCK {
        return Ok((config.clone(), None));
    }
    let embedded = Embedded::start(&topics)?;
    Ok((Config { brokers: embedded.bootstrap().to_owned(), ..config.clone() }, Some(embedded)))
}
