//! CIDR networks (RFC 4632): the one piece of the network world that settings and protocol code share. Pure.
//!
//! In: text of the settings. Out: whether an address belongs to a network. Used for SIP peers, dialogs (attack A12) and media sources (RTP-08).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A CIDR network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    pub addr: IpAddr,
    pub prefix: u8,
}

impl Network {
    /// `10.0.0.0/8`, `192.0.2.7`, `2001:db8::/32`. Host bits are cut off.
    pub fn parse(text: &str) -> Result<Network, String> {
        let bad = || format!("\"{text}\" is not a network: write an address or CIDR like \"10.0.0.0/8\"");
        let (addr, prefix) = match text.split_once('/') {
            Some((addr, prefix)) => (addr, Some(prefix)),
            None => (text, None),
        };
        let addr: IpAddr = addr.parse().map_err(|_| bad())?;
        let bits = if addr.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse::<u8>().ok().filter(|prefix| *prefix <= bits).ok_or_else(bad)?
            }
            Some(_) => return Err(bad()),
        };
        Ok(Network { addr: masked(addr, prefix), prefix })
    }

    /// An IPv4 address in IPv6 clothes (`::ffff:10.0.0.1`) counts as what it is.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_ipv4() == self.addr.is_ipv4() && masked(ip, self.prefix) == masked(self.addr, self.prefix)
    }
}

impl From<IpAddr> for Network {
    /// This address only.
    fn from(addr: IpAddr) -> Network {
        let addr = addr.to_canonical();
        Network { addr, prefix: if addr.is_ipv4() { 32 } else { 128 } }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix)
    }
}

fn masked(addr: IpAddr, prefix: u8) -> IpAddr {
    match addr {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            Ipv4Addr::from(u32::from(v4) & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            Ipv6Addr::from(u128::from(v6) & mask).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn networks_parse_and_contain() {
        let net = Network::parse("10.1.2.3/8").expect("valid");
        assert_eq!(net.to_string(), "10.0.0.0/8");
        assert!(net.contains(ip("10.255.0.1")) && !net.contains(ip("11.0.0.1")) && net.contains(ip("::ffff:10.0.0.9")));
        assert!(Network::parse("0.0.0.0/0").expect("valid").contains(ip("192.0.2.1")));
        assert!(!Network::parse("0.0.0.0/0").expect("valid").contains(ip("2001:db8::1")));
        let six = Network::parse("2001:db8::/32").expect("valid");
        assert!(six.contains(ip("2001:db8:ffff::1")) && !six.contains(ip("2001:db9::1")));
        assert_eq!(Network::parse("192.0.2.7").expect("valid").prefix, 32);
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/", "10.0.0.0/+8", "::/129", "pbx.example", "1.2.3.4/8/8"] {
            assert!(Network::parse(bad).is_err(), "{bad}");
        }
    }
}
