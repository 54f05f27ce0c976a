//! Proves that no report is missing, and drops repeats: `gapless BROKERS [RANGES_TOPIC,… APPLIANCE_TOPIC]`.

use std::error::Error;
use std::time::Duration;

use prost::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use tailwater::consume::{Fault, Gapless};
use tailwater::report::pb::{ApplianceReport, RangeReport};

/// All that is in a topic now.
fn read(consumer: &BaseConsumer, topic: &str, mut each: impl FnMut(&[u8]) -> Result<(), Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    let (metadata, mut all) = (consumer.fetch_metadata(Some(topic), Duration::from_secs(10))?, TopicPartitionList::new());
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        all.add_partition_offset(topic, partition.id(), Offset::Beginning)?;
    }
    consumer.assign(&all)?;
    let mut open = Some(all.count()).filter(|count| *count > 0).ok_or_else(|| format!("{topic} cannot be read: nothing is proven"))?;
    while open > 0 {
        match consumer.poll(Duration::from_secs(30)).ok_or("the brokers do not answer: nothing is proven")? {
            Err(KafkaError::PartitionEOF(_)) => open -= 1,
            message => each(message?.payload().unwrap_or_default())?,
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let argument = |at, default: &str| std::env::args().nth(at).unwrap_or_else(|| default.to_owned());
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", argument(1, "127.0.0.1:9092")).set("group.id", "gapless");
    let consumer: BaseConsumer = client.set("enable.auto.commit", "false").set("enable.partition.eof", "true").create()?;
    let mut proof = Gapless::by("kafka"); // Who goes on reading keeps it together with the offsets.
    let told = |faults: Vec<Fault>| {
        faults.iter().for_each(|fault| println!("{fault}"));
        if !faults.iter().any(Fault::is_repeat) { /* Here stands what is to be done with a report, or a part of one. */ }
        Ok(())
    };
    // Accounts first: what they tell of is there by then.
    read(&consumer, &argument(3, "tailwater.v1.appliance"), |bytes| told(proof.account(&ApplianceReport::decode(bytes)?)))?;
    for topic in argument(2, "tailwater.v1.ranges").split(',') {
        read(&consumer, topic, |bytes| told(proof.range(&RangeReport::decode(bytes)?)))?;
    }
    told(proof.end())?;
    println!("{proof}");
    std::process::exit(i32::from(!proof.is_whole()))
}
