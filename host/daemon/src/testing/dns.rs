//! DNS records of a test file. All other names do not exist, and no query is made.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Instant;

use mail_auth::dkim::DomainKey;
use mail_auth::dmarc::DmarcRecord;
use mail_auth::dns::TxtRecordParser;
use mail_auth::hickory_resolver::proto::op::ResponseCode;
use mail_auth::spf::SpfRecord;
use mail_auth::{
    DnsCache, DnsError, DnssecStatus, Error, Mx, Negative, RecordSet, ResolverCache, TxtRecord,
};

/// Records of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) txt: Vec<String>,
    pub(super) a: Vec<Ipv4Addr>,
    pub(super) aaaa: Vec<Ipv6Addr>,
    pub(super) mx: Vec<(u16, String)>,
    pub(super) ptr: Vec<String>,
}

/// Records by name; lower case, without a dot at the end. Those of addresses
/// (PTR) stand under the address.
pub(super) type GivenRecords = BTreeMap<String, Records>;

/// The records in the form that the verifier queries.
pub(super) struct Dns {
    txt: Answers<Box<str>, TxtRecord>,
    mx: Answers<Box<str>, Answer<Mx>>,
    a: Answers<Box<str>, Answer<Ipv4Addr>>,
    aaaa: Answers<Box<str>, Answer<Ipv6Addr>>,
    ptr: Answers<IpAddr, Answer<Box<str>>>,
}

type Answer<T> = Result<RecordSet<T>, Negative>;

impl Dns {
    /// The records of the test file, and those of `keys` (name and text) for names
    /// that the file does not have.
    pub(super) fn new(
        input: &GivenRecords,
        keys: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let mut dns = Self {
            txt: Answers::with(TxtRecord::Error(Error::from(NOT_THERE))),
            mx: Answers::with(Err(NOT_THERE)),
            a: Answers::with(Err(NOT_THERE)),
            aaaa: Answers::with(Err(NOT_THERE)),
            ptr: Answers::with(Err(NOT_THERE)),
        };
        for (name, text) in keys {
            if !input.contains_key(&name) {
                dns.txt.add(query(&name), txt(&name, &[text]));
            }
        }
        for (name, records) in input {
            dns.add(name, records);
        }
        dns
    }

    fn add(&mut self, name: &str, records: &Records) {
        if let Ok(address) = name.parse::<IpAddr>() {
            let names = records.ptr.iter().map(|name| query(name)).collect();
            self.ptr.add(address, answer(names));
            return;
        }
        if !records.txt.is_empty() {
            self.txt.add(query(name), txt(name, &records.txt));
        }
        self.a.add(query(name), answer(records.a.clone()));
        self.aaaa.add(query(name), answer(records.aaaa.clone()));
        let mut by_preference: BTreeMap<u16, Vec<Box<str>>> = BTreeMap::new();
        for (preference, exchange) in &records.mx {
            let exchanges = by_preference.entry(*preference).or_default();
            exchanges.push(query(exchange));
        }
        let mx = by_preference.into_iter().map(|(preference, exchanges)| Mx {
            exchanges: exchanges.into(),
            preference,
        });
        self.mx.add(query(name), answer(mx.collect()));
    }
}

const NOT_THERE: Negative = Negative {
    code: ResponseCode::NXDomain,
};

/// The name exists, but has no records of that type.
const NOT_OF_TYPE: Negative = Negative {
    code: ResponseCode::NoError,
};

/// A name in the form that the verifier queries.
fn query(name: &str) -> Box<str> {
    format!("{}.", name.trim_end_matches('.').to_ascii_lowercase()).into()
}

fn answer<T>(records: Vec<T>) -> Answer<T> {
    if records.is_empty() {
        return Err(NOT_OF_TYPE);
    }
    Ok(RecordSet {
        records: Arc::from(records),
        dnssec_status: DnssecStatus::Indeterminate,
    })
}

/// Parses the TXT records of a name; the name determines the record type.
fn txt(name: &str, texts: &[String]) -> TxtRecord {
    let bytes: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    let is_spf = |text: &&String| {
        text.get(..6)
            .is_some_and(|version| version.eq_ignore_ascii_case("v=spf1"))
    };
    if name.starts_with("_dmarc.") {
        // Several records count as none (RFC 9989, section 4.7).
        match texts {
            [_] => DmarcRecord::parse_records(&bytes).into(),
            _ => TxtRecord::Error(Error::Dns(DnsError::InvalidRecordType)),
        }
    } else if name.contains("._domainkey.") {
        DomainKey::parse_records(&bytes).into()
    } else {
        match texts.iter().filter(is_spf).count() {
            0 => TxtRecord::Error(Error::Dns(DnsError::InvalidRecordType)),
            1 => SpfRecord::parse_records(&bytes).into(),
            // RFC 7208, section 4.5.
            _ => TxtRecord::Error(Error::Parse),
        }
    }
}

/// Answers by name, with one default answer for all other names.
pub(super) struct Answers<K, V> {
    known: HashMap<K, V>,
    otherwise: V,
}

impl<K: Hash + Eq, V> Answers<K, V> {
    fn with(otherwise: V) -> Self {
        Self {
            known: HashMap::new(),
            otherwise,
        }
    }

    fn add(&mut self, name: K, value: V) {
        self.known.insert(name, value);
    }
}

impl<K: Hash + Eq, V: Clone> ResolverCache<K, V> for Answers<K, V> {
    fn get<Q>(&self, name: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let value = self.known.get(name).unwrap_or(&self.otherwise);
        Some(value.clone())
    }

    fn remove<Q>(&self, _: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: K, _: V, _: Instant) {}
}

impl DnsCache for Dns {
    type Txt = Answers<Box<str>, TxtRecord>;
    type Mx = Answers<Box<str>, Answer<Mx>>;
    type Ipv4 = Answers<Box<str>, Answer<Ipv4Addr>>;
    type Ipv6 = Answers<Box<str>, Answer<Ipv6Addr>>;
    type Ptr = Answers<IpAddr, Answer<Box<str>>>;

    fn txt(&self) -> Option<&Self::Txt> {
        Some(&self.txt)
    }

    fn mx(&self) -> Option<&Self::Mx> {
        Some(&self.mx)
    }

    fn ipv4(&self) -> Option<&Self::Ipv4> {
        Some(&self.a)
    }

    fn ipv6(&self) -> Option<&Self::Ipv6> {
        Some(&self.aaaa)
    }

    fn ptr(&self) -> Option<&Self::Ptr> {
        Some(&self.ptr)
    }
}
