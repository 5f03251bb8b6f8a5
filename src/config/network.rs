//! IP networks, and which addresses are on the public Internet.

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

/// Whether an address is on the public Internet, going by the IANA special-purpose registries (RFC 6890 and successors).
/// Everything else could be this host, its network or its cloud's metadata service (attack A18).
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = match a {
        0 | 10 | 127 => true,
        100 => (64..128).contains(&b),
        169 => b == 254,
        172 => (16..32).contains(&b),
        192 => b == 168 || (b == 0 && (c == 0 || c == 2)) || (b == 88 && c == 99),
        198 => b == 18 || b == 19 || (b == 51 && c == 100),
        203 => b == 0 && c == 113,
        _ => a >= 224,
    };
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (a, b, c, d, e, f) {
        // IPv4 in IPv6: mapped, NAT64 (RFC 6052), 6to4 (RFC 3056) are judged by the IPv4 address they lead to.
        (0, 0, 0, 0, 0, 0xffff) | (0x0064, 0xff9b, 0, 0, 0, 0) => is_public_v4(v4(g, h)),
        (0x2002, ..) => is_public_v4(v4(b, c)),
        // Special parts of 2000::/3: 2001::/23 (Teredo, ORCHID …), 2001:db8::/32, 3fff::/20.
        (0x2001, ..) => b >= 0x0200 && b != 0x0db8,
        (0x3fff, ..) => b >= 0x1000,
        _ => (0x2000..0x4000).contains(&a),
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

    /// A18: what an HTTP tool must not reach.
    #[test]
    fn special_addresses_are_not_public() {
        let special = [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "::7f00:1",
            "100::1",
        ];
        for text in special {
            assert!(!is_public(ip(text)), "{text}");
        }
        for text in
            ["8.8.8.8", "1.1.1.1", "100.63.0.1", "172.15.0.1", "172.32.0.1", "2606:4700::1111", "2001:4860::8888"]
        {
            assert!(is_public(ip(text)), "{text}");
        }
    }
}
