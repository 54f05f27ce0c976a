//! Reads a topic to its end.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message as _};

/// Key and value of all that a topic has, of so many messages.
pub(crate) fn topic(brokers: &str, name: &str, messages: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", "test").set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = config.create().unwrap();
    let metadata = consumer.fetch_metadata(Some(name), Duration::from_secs(20)).unwrap();
    let mut list = rdkafka::TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        list.add_partition_offset(name, partition.id(), rdkafka::Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut read = Vec::new();
    while let Some(message) = consumer.poll(Duration::from_secs(if read.len() < messages { 20 } else { 2 })) {
        let message = message.unwrap();
        read.push((message.key().unwrap().to_vec(), message.payload().unwrap().to_vec()));
    }
    read
}
