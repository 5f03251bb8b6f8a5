//! The embedded Realtime server against the published event schemas: everything it sends is valid in its dialect, everything
//! it must refuse is refused. Most tests drive the pure session machine in virtual time; `socket` uses real WebSockets.

mod anything;
mod echo;
mod faults;
mod items;
mod receptionist;
mod responses;
mod schema;
mod socket;
mod strictness;
mod turns;
mod world;
