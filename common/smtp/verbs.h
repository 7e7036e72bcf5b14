/* One row a verb: VERB(id, "NAME"). SMTP_VERB_UNKNOWN stands for what is none. RFC 5321 section 4.1, and extensions. */
#ifndef COMMON_SMTP_VERBS_H
#define COMMON_SMTP_VERBS_H

#define SMTP_VERBS(VERB)                                                                                               \
    VERB(HELO, "HELO")                                                                                                 \
    VERB(EHLO, "EHLO")                                                                                                 \
    VERB(LHLO, "LHLO")                                                                                                 \
    VERB(MAIL, "MAIL")                                                                                                 \
    VERB(RCPT, "RCPT")                                                                                                 \
    VERB(DATA, "DATA")                                                                                                 \
    VERB(BDAT, "BDAT")                                                                                                 \
    VERB(RSET, "RSET")                                                                                                 \
    VERB(NOOP, "NOOP")                                                                                                 \
    VERB(QUIT, "QUIT")                                                                                                 \
    VERB(VRFY, "VRFY")                                                                                                 \
    VERB(EXPN, "EXPN")                                                                                                 \
    VERB(HELP, "HELP")                                                                                                 \
    VERB(ETRN, "ETRN")                                                                                                 \
    VERB(TURN, "TURN")                                                                                                 \
    VERB(SEND, "SEND")                                                                                                 \
    VERB(SOML, "SOML")                                                                                                 \
    VERB(SAML, "SAML")                                                                                                 \
    VERB(STARTTLS, "STARTTLS")                                                                                         \
    VERB(AUTH, "AUTH")                                                                                                 \
    VERB(XCLIENT, "XCLIENT")                                                                                           \
    VERB(XFORWARD, "XFORWARD")                                                                                         \
    VERB(PROXY, "PROXY")                                                                                               \
    /* Other protocols' verbs (protocol.md, G6): answered once, then closed. */                                        \
    VERB(GET, "GET")                                                                                                   \
    VERB(POST, "POST")                                                                                                 \
    VERB(PUT, "PUT")                                                                                                   \
    VERB(HEAD, "HEAD")                                                                                                 \
    VERB(CONNECT, "CONNECT")                                                                                           \
    VERB(OPTIONS, "OPTIONS")                                                                                           \
    VERB(DELETE, "DELETE")                                                                                             \
    VERB(PATCH, "PATCH")                                                                                               \
    VERB(TRACE, "TRACE")

#endif
