/* A verifying side whose user file and thread of workers are played by functions. */
#ifndef TESTS_UNIT_SASL_RIG_H
#define TESTS_UNIT_SASL_RIG_H

#include <stdlib.h>

#include "common/smtp/sasl.h"

/* "pencil": RFC 7677's salt; what `doveadm pw -s SCRAM-SHA-256` wrote; and a stand-in for what crypt(3) makes. */
#define SECRET_KEYS "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
#define SECRET_SCRAM_BODY "4096,W22ZaJ0SNY7soEsUEjb6gQ==," SECRET_KEYS
#define SECRET_SCRAM "{SCRAM-SHA-256}" SECRET_SCRAM_BODY
#define SECRET_DOVEADM                                                                                                 \
    "{SCRAM-SHA-256}4096,MjZTGb1GtCxpyNoich0+bw==,E0oTau5vZrO5Z2rOFn9p2LRs+Mkgt0NnuUB/bcjG8K4=,"                       \
    "U1CIcmi3pdtiQm9Qu7k55te4IKZ9I+eRZhjLIGoeDeo="
#define SECRET_PLAIN "{PLAIN}pencil"
#define SECRET_CRYPT "$fake$pencil"
#define GOOD_TOKEN "ya29.good-token"

#define EXPORTER "EEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEE"
#define END_POINT "PPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPP"

static inline struct sasl_server_params rig_params(void)
{
    /* 100 to 117 */
    static const char nonce[] = "defghijklmnopqrstu", key[] = "0123456789abcdef0123456789abcdef";
    _Static_assert(sizeof(nonce) == SASL_NONCE + 1 && sizeof(key) == SASL_KEY + 1, "all of them");
    return (struct sasl_server_params){
        .hostname = "mx.example.com",
        .nonce = (const unsigned char *)nonce,
        .key = (const unsigned char *)key,
        .time = 1700000000,
    };
}

static inline void rig_work(struct sasl_work *work)
{
    sasl_work_run(work);
    if (work->kind == SASL_WORK_CRYPT)
        work->ok = strncmp(work->secret, "$fake$", 6) == 0 && strcmp(work->secret + 6, work->password) == 0;
    if (work->kind == SASL_WORK_TOKEN) {
        work->ok = strcmp(work->password, GOOD_TOKEN) == 0;
        if (work->ok && work->username == NULL)
            work->username = strdup("token-owner");
    }
}

/* A step of the client's, with the work that it asks for. */
static inline enum sasl_client_step rig_client_step(struct sasl_client *c, struct span challenge, struct buf *out)
{
    enum sasl_client_step step = sasl_client_step(c, challenge, out);
    if (step != SASL_CLIENT_WORK)
        return step;
    struct sasl_work *work = sasl_client_take_work(c);
    rig_work(work);
    step = sasl_client_worked(c, work, out);
    sasl_work_free(&work);
    return step;
}

/* Does what the step asks the owner for, until the client or the end is due. user: the only one there is. */
static inline enum sasl_step rig_settle(struct sasl_server *s, enum sasl_step step, const char *user,
                                        const char *secret, struct buf *challenge)
{
    for (;;) {
        if (step == SASL_LOOKUP) {
            bool known = user == NULL || strcmp(user, s->username) == 0;
            step = sasl_server_secret(s, known ? span_str(secret) : SPAN_NONE, challenge);
        } else if (step == SASL_VERIFY) {
            struct sasl_work *work = sasl_server_take_work(s);
            rig_work(work);
            step = sasl_server_verified(s, work, challenge);
            sasl_work_free(&work);
        } else {
            return step;
        }
    }
}

#endif
