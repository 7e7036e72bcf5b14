/* Why things end: reasons of `close` records, and codes of `error` records with the text a person reads. */
#ifndef COMMON_RECORD_REASONS_H
#define COMMON_RECORD_REASONS_H

/* clang-format off */
/* REASON(id, "word"): `reason` of close (events.md). */
#define CLOSE_REASONS(REASON)                                                                                          \
    REASON(NONE, "")                                                                                                   \
    REASON(QUIT, "quit")                                                                                               \
    REASON(GONE, "gone")                                                                                               \
    REASON(TIMEOUT, "timeout")                                                                                         \
    REASON(TLS, "tls")                                                                                                 \
    REASON(PROTOCOL, "protocol")                                                                                       \
    REASON(LIMIT, "limit")                                                                                             \
    REASON(POLICY, "policy")                                                                                           \
    REASON(UPSTREAM, "upstream")                                                                                       \
    REASON(SHUTDOWN, "shutdown")

/* ERR(id, "code", "text"): `err.code` and the default `err.message` of error records. */
#define RECORD_ERRORS(ERR)                                                                                             \
    ERR(EARLY_TALKER, "early_talker", "The client talked before the greeting")                                         \
    ERR(UPSTREAM_WASTED, "upstream_wasted",                                                                            \
        "The client cost one upstream connection after the other: new HELO names, refused messages")                   \
    ERR(IDENTITY_UNTOLD, "identity_untold",                                                                            \
        "The upstream would judge this client by our own address and might relay for anybody; set upstream.identity")  \
    ERR(UPSTREAM_CONNECT, "upstream_connect", "The upstream can't be reached")                                         \
    ERR(UPSTREAM_BUSY, "upstream_busy", "Every upstream server has upstream.max_connections already")                   \
    ERR(UPSTREAM_GREETING, "upstream_greeting", "The upstream's greeting is not 220")                                  \
    ERR(UPSTREAM_EHLO, "upstream_ehlo", "The upstream refuses EHLO and HELO")                                          \
    ERR(UPSTREAM_LOST, "upstream_lost", "The upstream closed the connection")                                          \
    ERR(UPSTREAM_TIMEOUT, "upstream_timeout", "The upstream did not answer in time")                                   \
    ERR(UPSTREAM_REPLY, "upstream_reply", "The upstream's reply can't be understood")                                  \
    ERR(UPSTREAM_UNSOLICITED, "upstream_unsolicited", "The upstream sent a reply that nobody asked for")               \
    ERR(UPSTREAM_EARLY_REPLY, "upstream_early_reply", "The upstream answered before the end of data")                  \
    ERR(UPSTREAM_NAME, "upstream_name", "The upstream's name has no address")                                          \
    ERR(LOG_BLOCKED, "log_blocked", "A log output takes no records; mail is refused until it does")                    \
    ERR(LOG_WRITE, "log_write", "A log output can't be written")                                                       \
    ERR(LOG_TORN, "log_torn", "A log file ended in a part of a record")                                                \
    ERR(LOG_BROKEN, "log_broken", "The connection of a log output broke")                                              \
    ERR(RESTART, "restart", "A new process could not take over; this one goes on")                                     \
    ERR(SYNC_FAILED, "sync_failed",                                                                                    \
        "The message's record could not be made safe in time; its reply has left without")                            \
    ERR(TLS_HANDSHAKE, "tls_handshake", "The TLS handshake failed")                                                      \
    ERR(TLS_BROKEN, "tls_broken", "The TLS connection broke")                                                            \
    ERR(UPSTREAM_NO_TLS, "upstream_no_tls", "The upstream offers no TLS, which is required")                             \
    ERR(UPSTREAM_LACKS, "upstream_lacks", "The upstream lacks an extension that the message needs")                      \
    ERR(UPSTREAM_AUTH, "upstream_auth", "The upstream does not let us log in")                                           \
    ERR(UPSTREAM_TLS_RESIDUE, "upstream_tls_residue", "The upstream sent bytes behind its 220 to STARTTLS")              \
    ERR(UPSTREAM_IDENTITY, "upstream_identity", "The upstream does not take the client's identity as it should")          \
    ERR(XCLIENT_REFUSED, "xclient_refused", "The upstream refuses the client (XCLIENT)")                                 \
    ERR(XFORWARD_REFUSED, "xforward_refused", "The upstream refuses XFORWARD")                                           \
    ERR(PROXY_HEADER, "proxy_header", "The PROXY header is refused")                                                     \
    ERR(AUTH_FILE, "auth_file", "The file of users has a fault; the one read before stays in use")                     \
    ERR(AUTH_SERVER, "auth_server", "The auth server can't be reached; logins fail for now")                           \
    ERR(SOCKET, "socket", "A system call on a socket failed")                                                          \
    ERR(ACCEPT, "accept", "A connection can't be accepted")
/* clang-format on */

#endif
