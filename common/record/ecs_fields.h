/* Where each key of format native stands in format ecs (Elastic Common Schema 9.4): once, here. A key without a row is
 * `smtptap.<key>`, inside an object `smtptap.<object>.<key>`. All names are dotted and stand at the top, which
 * Elasticsearch and OpenSearch read as objects; lists of objects keep native's keys inside.
 *
 * Names under smtptap keep clear of what Elastic's dynamic templates type by its last part (`*.end`, `*.start`,
 * `*.message`, `*.ip` of what is no address), and none is both a value and an object. */
#ifndef COMMON_RECORD_ECS_FIELDS_H
#define COMMON_RECORD_ECS_FIELDS_H

/* clang-format off */
/* ROW(scope, key, how, "field"). Scopes: TOP, and for kinds of records that use a word in another sense LISTEN, CAPS,
 * TLS_CLIENT (starttls), TLS_SERVER (starttls to the upstream), LEG (connection, close, error of the upstream's leg),
 * whose other keys are those of TOP; then objects by their keys.
 *
 * how: what is written besides, or instead.
 *   PLAIN     the value
 *   RCPT      a list; of one recipient also smtptap.envelope.rcpt_to
 *   NS        milliseconds as nanoseconds
 *   CLIENT    an address: source.address, client.address, and of an IP address source.ip, client.ip, related.ip,
 *             network.type
 *   OURS      the same as server.*, destination.*
 *   PEER      the value, and of an IP address smtptap.upstream.ip
 *   PORT      also client.port;  OUR_PORT  also destination.port;  DOMAIN  also client.domain
 *   FROM      also email.from.address, unless it is the null sender
 *   USER      also related.user;  LOGIN  also user.name and related.user, unless the record has a user
 *   PROTOCOL  also network.protocol
 *   VERSION   "TLSv1.3" as "1.3", and tls.version_protocol;  UP_VERSION  without the latter
 *   STATUS, RESULT, OK, CODE   also event.outcome (CODE in `send` alone) */
#define RECORD_ECS_ROWS(ROW)                                                                                           \
    ROW(TOP, TIME, PLAIN, "@timestamp")                                                                                \
    ROW(TOP, LEVEL, PLAIN, "log.level")                                                                                \
    ROW(TOP, MSG, PLAIN, "message")                                                                                    \
    ROW(TOP, COMPONENT, PLAIN, "observer.name")                                                                        \
    ROW(TOP, TID, PLAIN, "transaction.id")                                                                             \
    ROW(TOP, USER, USER, "user.name")                                                                                  \
    ROW(TOP, HOST, CLIENT, "source.address")                                                                           \
    ROW(TOP, PORT, PORT, "source.port")                                                                                \
    ROW(TOP, HOSTNAME, DOMAIN, "source.domain")                                                                        \
    ROW(TOP, LOCAL_HOST, OURS, "server.address")                                                                       \
    ROW(TOP, LOCAL_PORT, OUR_PORT, "server.port")                                                                      \
    ROW(TOP, SERVER, PLAIN, "smtptap.upstream.server")                                                                 \
    ROW(TOP, REUSED, PLAIN, "smtptap.upstream.reused")                                                                 \
    ROW(TOP, PROTOCOL, PROTOCOL, "smtptap.protocol")                                                                   \
    ROW(TOP, REASON, PLAIN, "event.reason")                                                                            \
    ROW(TOP, CODE, CODE, "smtptap.response.code")                                                                      \
    ROW(TOP, ENHANCED, PLAIN, "smtptap.response.enhanced")                                                             \
    ROW(TOP, SMTP_RESPONSE, PLAIN, "smtptap.response.text")                                                            \
    ROW(TOP, LINES, PLAIN, "smtptap.response.lines")                                                                   \
    ROW(TOP, MS, NS, "event.duration")                                                                                 \
    ROW(TOP, DURATION_MS, NS, "event.duration")                                                                        \
    ROW(TOP, MAIL_FROM, FROM, "smtptap.envelope.mail_from")                                                            \
    ROW(TOP, RCPT_TO, RCPT, "email.to.address")                                                                        \
    ROW(TOP, RCPT_DOMAIN, PLAIN, "smtptap.envelope.rcpt_domain")                                                       \
    ROW(TOP, RCPT_COUNT, PLAIN, "smtptap.envelope.rcpt_count")                                                         \
    ROW(TOP, RCPT_ACCEPTED, PLAIN, "smtptap.envelope.rcpt_accepted")                                                   \
    ROW(TOP, STATUS, STATUS, "smtptap.status")                                                                         \
    ROW(TOP, QUEUE_ID, PLAIN, "email.local_id")                                                                        \
    ROW(TOP, MESSAGE_ID, PLAIN, "email.message_id")                                                                    \
    ROW(TOP, SUBJECT, PLAIN, "email.subject")                                                                          \
    ROW(TOP, ERR, PLAIN, "error.message")                                                                              \
    ROW(TOP, OK, OK, "smtptap.ok")                                                                                     \
    ROW(TOP, BYTES_IN, PLAIN, "source.bytes")                                                                          \
    ROW(TOP, BYTES_OUT, PLAIN, "destination.bytes")                                                                    \
    ROW(TOP, SERVERNAME, PLAIN, "tls.client.server_name")                                                              \
    ROW(TOP, METHOD, PLAIN, "smtptap.auth.method")                                                                     \
    ROW(TOP, USERNAME, LOGIN, "smtptap.auth.username")                                                                 \
    ROW(TOP, AUTHZID, PLAIN, "smtptap.auth.authzid")                                                                   \
    ROW(TOP, RESULT, RESULT, "smtptap.auth.result")                                                                    \
    ROW(TOP, RUN, PLAIN, "smtptap.run")                                                                                \
    ROW(TOP, SEQ, PLAIN, "event.sequence")                                                                             \
    ROW(TOP, HASH, PLAIN, "smtptap.hash")                                                                              \
    ROW(TOP, PREV, PLAIN, "smtptap.prev")                                                                              \
    ROW(LISTEN, HOST, OURS, "server.address")                                                                          \
    ROW(LISTEN, PORT, OUR_PORT, "server.port")                                                                         \
    ROW(CAPS, UPSTREAM, PLAIN, "smtptap.caps.upstream")                                                                \
    ROW(CAPS, OFFERED, PLAIN, "smtptap.caps.offered")                                                                  \
    ROW(CAPS, WITHHELD, PLAIN, "smtptap.caps.withheld")                                                                \
    ROW(LEG, HOST, PEER, "smtptap.upstream.host")                                                                      \
    ROW(LEG, PORT, PLAIN, "smtptap.upstream.port")                                                                     \
    ROW(LEG, LOCAL_HOST, PLAIN, "smtptap.upstream.local_host")                                                         \
    ROW(LEG, LOCAL_PORT, PLAIN, "smtptap.upstream.local_port")                                                         \
    ROW(LEG, BYTES_IN, PLAIN, "smtptap.upstream.bytes_in")                                                             \
    ROW(LEG, BYTES_OUT, PLAIN, "smtptap.upstream.bytes_out")                                                           \
    ROW(TLS_CLIENT, VERSION, VERSION, "tls.version")                                                                   \
    ROW(TLS_CLIENT, CIPHER, PLAIN, "tls.cipher")                                                                       \
    ROW(TLS_CLIENT, RESUMED, PLAIN, "tls.resumed")                                                                     \
    ROW(TLS_CLIENT, CLIENT_CERT, PLAIN, "tls.client.subject")                                                          \
    ROW(TLS_CLIENT, IMPLICIT, PLAIN, "smtptap.tls_implicit")                                                           \
    ROW(TLS_SERVER, VERSION, UP_VERSION, "smtptap.upstream.tls.version")                                               \
    ROW(TLS_SERVER, CIPHER, PLAIN, "smtptap.upstream.tls.cipher")                                                      \
    ROW(TLS_SERVER, RESUMED, PLAIN, "smtptap.upstream.tls.resumed")                                                    \
    ROW(TLS_SERVER, VERIFIED, PLAIN, "smtptap.upstream.tls.verified")                                                  \
    ROW(TLS_SERVER, IMPLICIT, PLAIN, "smtptap.upstream.tls.implicit")                                                  \
    ROW(TLS, CLIENT_CERT, PLAIN, "tls.client.subject")                                                                 \
    ROW(TLS, VERIFIED, PLAIN, "smtptap.tls_verified")                                                                  \
    ROW(TLS, USED, PLAIN, "tls.established")                                                                           \
    ROW(TLS, VERSION, VERSION, "tls.version")                                                                          \
    ROW(TLS, CIPHER, PLAIN, "tls.cipher")                                                                              \
    ROW(PEER, SUBJECT, PLAIN, "smtptap.upstream.tls.subject")                                                          \
    ROW(PEER, ISSUER, PLAIN, "smtptap.upstream.tls.issuer")                                                            \
    ROW(PEER, NOT_AFTER, PLAIN, "smtptap.upstream.tls.not_after")                                                      \
    ROW(PEER, ERR, PLAIN, "smtptap.upstream.tls.verify_error")                                                         \
    ROW(UPSTREAM, HOST, PEER, "smtptap.upstream.host")                                                                 \
    ROW(UPSTREAM, SERVER, PLAIN, "smtptap.upstream.server")                                                            \
    ROW(UPSTREAM, PORT, PLAIN, "smtptap.upstream.port")                                                                \
    ROW(UPSTREAM, IDENTITY, PLAIN, "smtptap.upstream.identity")                                                        \
    ROW(UPSTREAM, REUSED, PLAIN, "smtptap.upstream.reused")                                                            \
    ROW(UPSTREAM, ATTEMPTS, PLAIN, "smtptap.upstream.attempts")                                                        \
    ROW(UPSTREAM_TLS, CIPHER, PLAIN, "smtptap.upstream.tls.cipher")                                                    \
    ROW(UPSTREAM_TLS, USED, PLAIN, "smtptap.upstream.tls.established")                                                 \
    ROW(UPSTREAM_TLS, VERSION, UP_VERSION, "smtptap.upstream.tls.version")                                             \
    ROW(TIMING, CONNECT, PLAIN, "smtptap.timing.connect_ms")                                                           \
    ROW(TIMING, MAIL, PLAIN, "smtptap.timing.mail_ms")                                                                 \
    ROW(TIMING, RCPT, PLAIN, "smtptap.timing.rcpt_ms")                                                                 \
    ROW(TIMING, DATA, PLAIN, "smtptap.timing.data_ms")                                                                 \
    ROW(TIMING, TRANSFER, PLAIN, "smtptap.timing.transfer_ms")                                                         \
    ROW(TIMING, END, PLAIN, "smtptap.timing.end_ms")                                                                   \
    ROW(TIMING, TOTAL, NS, "event.duration")                                                                           \
    ROW(ERR, CODE, PLAIN, "error.code")                                                                                \
    ROW(ERR, MESSAGE, PLAIN, "error.message")

/* KIND(tnx, categories, types, dataset, outcome): event.category, event.type, event.dataset and, where it is always the
 * same, event.outcome of each kind. The datasets part what is kept for different times. */
#define RECORD_ECS_KINDS(KIND)                                                                                         \
    KIND(LISTEN, "\"process\"", "\"info\"", "server", "")                                                              \
    KIND(CONNECTION, "\"network\"", "\"connection\",\"start\"", "session", "")                                         \
    KIND(PROXY, "\"network\"", "\"protocol\"", "session", "")                                                          \
    KIND(SNI, "\"network\"", "\"protocol\"", "dialogue", "")                                                           \
    KIND(STARTTLS, "\"network\"", "\"protocol\"", "session", ",\"event.outcome\":\"success\"")                                                \
    KIND(CAPS, "\"network\"", "\"protocol\"", "dialogue", "")                                                          \
    KIND(AUTH, "\"authentication\"", "\"start\"", "session", "")                                                       \
    KIND(DEAUTH, "\"authentication\"", "\"end\"", "session", "")                                                       \
    KIND(XCLIENT, "\"network\"", "\"protocol\"", "session", "")                                                        \
    KIND(XFORWARD, "\"network\"", "\"protocol\"", "session", "")                                                       \
    KIND(COMMAND, "\"network\"", "\"protocol\"", "dialogue", "")                                                       \
    KIND(SEND, "\"network\"", "\"protocol\"", "dialogue", "")                                                          \
    KIND(DATA, "\"network\"", "\"protocol\"", "dialogue", "")                                                          \
    KIND(POLICY, "\"network\"", "\"info\"", "session", "")                                                             \
    KIND(RCPT, "\"email\"", "\"info\"", "message", "")                                                                 \
    KIND(MESSAGE, "\"email\"", "\"info\"", "message", "")                                                              \
    KIND(ERROR, "\"network\"", "\"info\"", "session", ",\"event.outcome\":\"failure\"")                                                       \
    KIND(CLOSE, "\"network\"", "\"connection\",\"end\"", "session", "")                                                \
    KIND(DROPPED, "\"process\"", "\"info\"", "server", "")                                                             \
    KIND(RELOAD, "\"configuration\"", "\"change\"", "server", "")                                                      \
    KIND(CLOSING, "\"process\"", "\"end\"", "server", "")                                                              \
    KIND(CLOSED, "\"process\"", "\"end\"", "server", "")
/* clang-format on */

#endif
