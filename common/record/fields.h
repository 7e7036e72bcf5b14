/* What a record may hold, once: tnx kinds, keys, and the words of closed sets (events.md). */
#ifndef COMMON_RECORD_FIELDS_H
#define COMMON_RECORD_FIELDS_H

/* clang-format off */
/* TNX(id, "word", level) */
#define RECORD_TNX(TNX)                                                                                                \
    TNX(LISTEN, "listen", INFO)                                                                                        \
    TNX(CONNECTION, "connection", INFO)                                                                                \
    TNX(PROXY, "proxy", INFO)                                                                                          \
    TNX(SNI, "sni", DEBUG)                                                                                             \
    TNX(STARTTLS, "starttls", INFO)                                                                                    \
    TNX(CAPS, "caps", DEBUG)                                                                                           \
    TNX(AUTH, "auth", INFO)                                                                                            \
    TNX(DEAUTH, "deauth", INFO)                                                                                        \
    TNX(XCLIENT, "xclient", INFO)                                                                                      \
    TNX(XFORWARD, "xforward", INFO)                                                                                    \
    TNX(COMMAND, "command", DEBUG)                                                                                     \
    TNX(SEND, "send", DEBUG)                                                                                           \
    TNX(DATA, "data", DEBUG)                                                                                           \
    TNX(POLICY, "policy", INFO)                                                                                        \
    TNX(RCPT, "rcpt", INFO)                                                                                            \
    TNX(MESSAGE, "message", INFO)                                                                                      \
    TNX(ERROR, "error", ERROR)                                                                                         \
    TNX(CLOSE, "close", INFO)                                                                                          \
    TNX(DROPPED, "dropped", ERROR)                                                                                     \
    TNX(RELOAD, "reload", INFO)                                                                                        \
    TNX(CLOSING, "closing", INFO)                                                                                      \
    TNX(CLOSED, "closed", INFO)

/* KEY(id, "key"). The first nine stand first in a record, in this order. A key may be used at the top or inside an
 * object. */
#define RECORD_KEYS(KEY)                                                                                               \
    KEY(TIME, "time")                                                                                                  \
    KEY(LEVEL, "level") KEY(COMPONENT, "component") KEY(TNX, "tnx") KEY(CID, "cid") KEY(TID, "tid") KEY(SIDE, "side")  \
        KEY(USER, "user") KEY(HOST, "host") KEY(PORT, "port") KEY(HOSTNAME, "hostname") KEY(LISTENER, "listener")      \
            KEY(LOCAL_HOST, "local_host") KEY(LOCAL_PORT, "local_port") KEY(SERVER, "server") KEY(REUSED, "reused")    \
                KEY(SECURE, "secure") KEY(PROTOCOL, "protocol") KEY(OFFERED, "offered") KEY(UPSTREAM, "upstream") KEY( \
                    WITHHELD, "withheld") KEY(KEYWORD, "keyword") KEY(REASON, "reason") KEY(COMMAND, "command")        \
                    KEY(LINE, "line") KEY(CODE, "code") KEY(ENHANCED, "enhanced") KEY(LINES, "lines") KEY(MS, "ms")    \
                        KEY(BYTES, "bytes") KEY(HELO, "helo") KEY(MAIL_FROM, "mail_from") KEY(RCPT_TO, "rcpt_to")      \
                            KEY(RCPT_DOMAIN, "rcpt_domain") KEY(RCPT_COUNT, "rcpt_count") KEY(                         \
                                RCPT_ACCEPTED, "rcpt_accepted") KEY(RECIPIENTS, "recipients") KEY(ADDRESS, "address")  \
                                KEY(REPLY,                                                                             \
                                    "reply") KEY(STATUS, "status") KEY(CLIENT_REPLIED, "client_replied")               \
                                    KEY(SMTP_RESPONSE, "smtp_response") KEY(STAGE, "stage") KEY(CLASS, "class") KEY(   \
                                        ANOMALIES, "anomalies") KEY(DECIDED_BY, "decided_by")                          \
                                        KEY(QUEUE_ID, "queue_id") KEY(SIZE, "size") KEY(MESSAGE_ID, "message_id") KEY( \
                                            SUBJECT, "subject") KEY(HEADERS, "headers")                                \
                                            KEY(BODY, "body") KEY(SMTPUTF8, "smtputf8") KEY(DSN, "dsn") KEY(           \
                                                RET,                                                                   \
                                                "ret") KEY(ENVID, "envid") KEY(TLS, "tls")                             \
                                                KEY(USED, "used") KEY(VERSION, "version") KEY(CIPHER, "cipher") KEY(   \
                                                    IDENTITY, "identity") KEY(ATTEMPTS, "attempts")                    \
                                                    KEY(TIMING, "timing") KEY(CONNECT, "connect") KEY(                 \
                                                        MAIL, "mail") KEY(RCPT, "rcpt")                                \
                                                        KEY(DATA, "data") KEY(                                         \
                                                            TRANSFER, "transfer") KEY(END, "end") KEY(TOTAL, "total")  \
                                                            KEY(ERR,                                                   \
                                                                "err") KEY(MESSAGE,                                    \
                                                                           "message") KEY(DURATION_MS, "duration_ms")  \
                                                                KEY(BYTES_IN, "bytes_in") KEY(BYTES_OUT, "bytes_out")  \
                                                                    KEY(COMMANDS, "commands") KEY(                     \
                                                                        MESSAGES, "messages") KEY(ERRORS, "errors")    \
                                                                        KEY(OUTPUT, "output") KEY(RECORDS, "records")  \
                                                                            KEY(OK, "ok") KEY(PENDING, "pending")      \
                                                                                KEY(TRUNCATED, "truncated")            \
                                                                                    KEY(TRUNCATED_FIELDS,              \
                                                                                        "truncated_fields")            \
                                                                                        KEY(MSG, "msg")                \
                                                                                            KEY(RUN, "run") KEY(SEQ,   \
                                                                                                                "seq") \
                                                                                                KEY(HASH, "hash")      \
                                                                                                    KEY(PREV, "prev") KEY(RESUMED, "resumed") KEY(SERVERNAME, "servername") KEY(MATCHED, "matched") KEY(CLIENT_CERT, "client_cert") KEY(VERIFIED, "verified") KEY(PEER, "peer") KEY(ISSUER, "issuer") KEY(NOT_AFTER, "not_after") KEY(IMPLICIT, "implicit") KEY(PROXY, "proxy") KEY(UNIQUE_ID, "unique_id") KEY(METHOD, "method") KEY(USERNAME, "username") KEY(AUTHZID, "authzid") KEY(RESULT, "result") KEY(TRANSCRIPT_LOST, "transcript_lost") KEY(XCLIENT_KEY, "xclientKey") KEY(XCLIENT, "xclient") KEY(XFORWARD_KEY, "xforwardKey") KEY(XFORWARD, "xforward")

#define RECORD_STATUSES(W)                                                                                             \
    W(ACCEPTED, "accepted")                                                                                            \
    W(DEFERRED, "deferred") W(REJECTED, "rejected") W(INDETERMINATE, "indeterminate") W(ABORTED, "aborted")            \
        W(RESET, "reset")
#define RECORD_STAGES(W) W(MAIL, "mail") W(RCPT, "rcpt") W(DATA, "data") W(TRANSFER, "transfer") W(END, "end")
#define RECORD_DECIDERS(W) W(UPSTREAM, "upstream") W(SMTPTAP, "smtptap") W(POLICY, "policy") W(CLIENT, "client")
#define RECORD_CLASSES(W)                                                                                              \
    W(NONE, "")                                                                                                        \
    W(UNKNOWN_USER, "unknown-user") W(MAILBOX_FULL, "mailbox-full") W(GREYLISTED, "greylisted")                        \
        W(RATE_LIMIT, "rate-limit") W(REPUTATION, "reputation") W(CONTENT, "content") W(AUTH_POLICY, "auth-policy")    \
            W(RELAY_DENIED, "relay-denied") W(BAD_SENDER, "bad-sender") W(SIZE, "size") W(TLS, "tls")                  \
                W(PROTOCOL, "protocol") W(NETWORK, "network") W(LOCAL, "local") W(OTHER, "other")
/* clang-format on */

#endif
