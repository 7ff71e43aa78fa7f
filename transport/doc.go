// Package transport keeps one invariant: there is a [Link] only between two
// nodes that have proved their keys to each other on this connection, and that
// are members of one cluster at this moment; and what a link delivers is what
// the peer sent, in order and without a gap, until the link ends.
//
// # Vocabulary
//
//   - node: an ed25519 key; its public half is the node's id.
//   - authority: the key that makes nodes members of a cluster. The cluster's
//     id is the SHA-256 of its public half.
//   - credential: what a node's certificate says: node, cluster, grants.
//   - identity: a node's key, its certificate, and the authority's.
//   - revocation: the authority's signed word that a node is no member now.
//   - invite: a secret, good for one node, to become a member with.
//   - frame: 1 byte to [MaxFrameBytes], the unit that a link carries.
//   - link: one connection with one peer. Its frames' meaning is not known
//     here.
//
// # Flow
//
//	authority, err := transport.NewAuthority(nil)            // once per cluster
//	identity, err := authority.Enroll(nil, transport.AllNamespaces())
//	network, err := transport.Listen(identity, transport.Options{Listen: ":4433"})
//	link, err := network.Dial(ctx, "hub.example:4433")       // or Accept
//	err = link.Send(ctx, []byte("frame"))
//	frame, err := link.Receive(ctx)
//
// One UDP socket dials and accepts. A connection is QUIC (RFC 9000) with mutual
// TLS 1.3; tls.go says what is verified, on every connection, with nothing to
// resume from. Then each side sends a preface (frame.go), since QUIC tells a
// dialer that it is connected before the other side has judged it: when Dial
// returns, both have. A node that is no member yet joins with an invite over
// the same socket (enroll.go), and never gets a link.
//
// # Trust and time
//
// Membership is a certificate of the pinned authority, without names to look
// up and chains to build. It is valid from 1970 and, unless someone wants
// otherwise, without end, since devices have clocks that cannot be trusted and
// a fleet must not expire; what ends a membership is a revocation, which
// members pass on to each other and [Options].Revoked answers for.
//
// # Networks that come and go
//
// A link that has nothing to say is silent, and lives through any outage
// shorter than its idle timeout. Packets that find no route are lost packets.
// When the network of this machine changes ([WatchNetwork] tells), links that
// it dialed move to the new path ([QUIC.NetworkChanged], doubt.go), with all
// that was under way. A link whose packets go unanswered is asked after several
// times a second, and says so ([Doubtful]), so that who wants to can dial anew
// beside it. A partition ends links at the end that dialed, while it has
// something to say (stall.go); a peer that restarted says so at the first packet on a link
// that it does not know, if that is of 43 bytes or more (a frame of 16 or more
// is), because its key for that (RFC 9000, 10.3) is derived from its node's
// key. A NAT between wants [Options].KeepAlive.
//
// For bulk, let the kernel grant larger buffers than its default:
//
//	sysctl -w net.core.rmem_max=7500000 net.core.wmem_max=7500000
//
// # Why links are closed
//
// A peer hears the code and the words; so does whoever reads the log, and, of a
// peer that this node dials, the status. A violation is what only a faulty or
// hostile member does.
//
//	what the peer did                       code                      violation
//	a stream that is no frames, or ends     CodeProtocol              yes
//	a preface of another protocol           CodeProtocol              yes
//	a message that is malformed, repeated,
//	  out of order, or not agreed on        CodeProtocol              yes
//	more than replica/protocol bounds       CodeProtocol              yes
//	a writer record or certificate that is
//	  forged, or a second record            CodeForged                yes
//	16 deltas refused in a row              CodeRefusals              no
//	no preface or Hello in time             CodeTimeout               no
//	is of another cluster or version        CodeCluster, CodeVersion  no
//	was revoked                             CodeRevoked               no
//	comes too often, or there is no room    CodeBusy                  no
//	has a newer link, or too many           CodeDuplicate             no
//	is this very process                    CodeSelf                  no
//	was removed by the operator             CodeRemoved               no
//
// What a member may not write is refused, delta by delta, and its link stays:
// it may read. More frames than one member may say are read later (pace.go).
// After a violation a member gets no link for a while; where one comes from that
// is refused over and over, most of what would begin a connection is not heard
// for a minute (penalty.go).
//
// # Bounds
//
// limits.go has every one, with its reason. A stranger costs a place among the
// handshakes for at most 10 seconds; a member costs at most 16 links, 4 of them
// of one process, each with the window of [Options].WindowBytes and one frame,
// a link a second, two handshakes a second for each address that it comes from,
// and the reading of 4,000 frames a second.
//
// # What it does not do
//
// It does not dial again, choose among links with one peer, or know what a
// frame says: package replica does. Frames that were on their way when a link
// ended are lost, and nothing says which.
package transport
