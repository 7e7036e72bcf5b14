/* Our own replies, one row each: OWN(id, code, "enhanced", "text"); protocol.md names the rules. */
#ifndef COMMON_SMTP_REPLIES_H
#define COMMON_SMTP_REPLIES_H

/* clang-format off */
#define SMTP_OWN_REPLIES(OWN)                                                                                          \
    OWN(OK, 250, "2.0.0", "Ok")                                                                                        \
    OWN(TLS_READY, 220, "2.0.0", "Ready to start TLS")                                                                   \
    OWN(BYE, 221, "2.0.0", "Bye")                                                                                      \
    OWN(HELP, 214, "2.0.0", "See RFC 5321: EHLO HELO MAIL RCPT DATA RSET NOOP QUIT VRFY HELP")                         \
    OWN(VRFY, 252, "2.5.0", "Cannot VRFY user, but will accept message and attempt delivery")                          \
    OWN(START_MAIL, 354, "", "End data with <CR><LF>.<CR><LF>")                                                        \
    OWN(SHUTDOWN, 421, "4.3.2", "Service shutting down")                                                               \
    OWN(TOO_MANY_CONNECTIONS, 421, "4.3.2", "Too many connections, try again later")                                   \
    OWN(CLIENT_LIMIT, 421, "4.7.0", "Too many connections from you, try again later")                                  \
    OWN(EARLY_TALKER, 421, "4.7.0", "You talk too soon")                                                               \
    OWN(NOT_SMTP, 421, "4.7.0", "This is an SMTP server")                                                              \
    OWN(UPSTREAM_UNREACHABLE, 421, "4.4.1", "No answer from the next hop, try again later")                            \
    OWN(UPSTREAM_GONE_CLOSE, 421, "4.4.2", "Connection to the next hop lost")                                          \
    OWN(IDLE, 421, "4.4.2", "Idle for too long")                                                                       \
    OWN(LINE_TOO_LONG_CLOSE, 421, "4.7.0", "Too many lines that are too long")                                         \
    OWN(TOO_MANY_ERRORS, 421, "4.7.0", "Too many unrecognized commands")                                               \
    OWN(UPSTREAM_WASTED, 421, "4.7.0", "Too many new names and refused messages")                                      \
    OWN(AUTH_FAILURES, 421, "4.7.0", "Too many failed logins")                                                         \
    OWN(UNAUTHENTICATED, 421, "4.7.0", "Too many commands without logging in")                                         \
    OWN(AUTH_OK, 235, "2.7.0", "Authentication successful")                                                            \
    OWN(AUTH_FAILED, 535, "5.7.8", "Authentication failed")                                                            \
    OWN(AUTH_TEMPFAIL, 454, "4.7.0", "Temporary authentication failure")                                               \
    OWN(AUTH_CANCELLED, 501, "5.7.0", "Authentication cancelled")                                                      \
    OWN(AUTH_INITIAL, 501, "5.7.0", "No initial response with this mechanism")                                         \
    OWN(AUTH_BASE64, 501, "5.5.2", "Cannot decode response")                                                           \
    OWN(AUTH_SYNTAX, 501, "5.5.4", "Expected AUTH mechanism [initial-response]")                                       \
    OWN(AUTH_MECHANISM, 504, "5.5.4", "Mechanism not available")                                                       \
    OWN(AUTH_TOO_LONG, 500, "5.5.6", "Authentication exchange line too long")                                          \
    OWN(AUTH_NEEDS_TLS, 538, "5.7.11", "Encryption required for authentication")                                       \
    OWN(ALREADY_AUTH, 503, "5.5.1", "Already authenticated")                                                           \
    OWN(NEED_AUTH, 530, "5.7.0", "Authentication required")                                                            \
    OWN(TLS_UNAVAILABLE, 454, "4.7.0", "TLS not available now")                                                          \
    OWN(NEED_TLS, 530, "5.7.0", "Must issue a STARTTLS command first")                                                   \
    OWN(ALREADY_TLS, 503, "5.5.1", "Already in TLS")                                                                     \
    OWN(UNRECOGNIZED, 500, "5.5.1", "Command not recognized")                                                          \
    OWN(LINE_SYNTAX, 500, "5.5.2", "Line not well formed")                                                             \
    OWN(LINE_TOO_LONG, 500, "5.5.2", "Line too long")                                                                  \
    OWN(WRONG_PROTOCOL, 500, "5.5.1", "Not in this protocol")                                                          \
    OWN(NO_ARGUMENT, 501, "5.5.4", "No argument allowed")                                                              \
    OWN(NEED_ARGUMENT, 501, "5.5.4", "Argument missing")                                                               \
    OWN(HELO_SYNTAX, 501, "5.5.4", "Invalid domain name")                                                              \
    OWN(MAIL_SYNTAX, 501, "5.1.7", "Bad sender address syntax, expected MAIL FROM:<address>")                          \
    OWN(RCPT_SYNTAX, 501, "5.1.3", "Bad recipient address syntax, expected RCPT TO:<address>")                         \
    OWN(PARAM_SYNTAX, 501, "5.5.4", "Bad parameter")                                                                   \
    OWN(NOT_PERMITTED, 550, "5.7.0", "Not permitted")                                                                    \
    OWN(DISABLED, 502, "5.5.1", "Command not implemented")                                                             \
    OWN(NEED_HELO, 503, "5.5.1", "Send HELO or EHLO first")                                                            \
    OWN(NESTED_MAIL, 503, "5.5.1", "Sender already given")                                                             \
    OWN(NEED_MAIL, 503, "5.5.1", "Need MAIL command")                                                                  \
    OWN(NEED_RCPT, 503, "5.5.1", "Need RCPT command")                                                                  \
    OWN(IN_TRANSACTION, 503, "5.5.1", "Not allowed during a mail transaction")                                         \
    OWN(BDAT_BEGUN, 503, "5.5.1", "Not between the chunks of a message")                                                \
    OWN(BDAT_FAILED, 503, "5.5.1", "An earlier chunk failed")                                                          \
    OWN(NEED_BDAT, 503, "5.5.1", "BODY=BINARYMIME needs BDAT")                                                         \
    OWN(BDAT_SYNTAX, 521, "5.5.4", "Bad BDAT argument, closing connection")                                            \
    OWN(NO_VALID_RCPT, 554, "5.5.1", "No valid recipients")                                                            \
    OWN(PARAM_UNKNOWN, 555, "5.5.4", "Parameter not recognized or not implemented")                                    \
    OWN(NEEDS_SMTPUTF8, 553, "5.6.7", "Address has characters that need SMTPUTF8")                                     \
    OWN(TOO_MANY_RECIPIENTS, 452, "4.5.3", "Too many recipients")                                                      \
    OWN(TOO_MANY_MESSAGES, 451, "4.5.3", "Too many messages on this connection")                                       \
    OWN(MESSAGE_TOO_BIG, 552, "5.3.4", "Message size exceeds limit")                                                   \
    OWN(BARE_NEWLINE, 550, "5.5.2", "Bare <CR>, <LF> or NUL received")                                                 \
    OWN(LOOP, 554, "5.4.6", "Too many hops, mail loop")                                                                \
    OWN(IDENTITY_UNTOLD, 451, "4.3.5", "Relaying not configured: the next hop is not told who you are")                \
    OWN(REQUIRETLS, 550, "5.7.30", "REQUIRETLS needed, and the next hop does not support it")                          \
    OWN(LACKS_EXTENSION, 451, "4.3.3", "The next hop lacks what this message needs, try again later")                  \
    OWN(RECONNECT_FAILED, 451, "4.4.1", "No answer from the next hop, try again later")                                \
    OWN(UPSTREAM_LOST, 451, "4.4.2", "Connection to the next hop lost, try again later")                               \
    OWN(UPSTREAM_CONFUSED, 451, "4.3.0", "Unexpected answer from the next hop, try again later")                       \
    OWN(LOG_BLOCKED, 451, "4.3.0", "Service overloaded, try again later")
/* clang-format on */

#endif
