/* What the files of a sink's session share; nobody else includes this. */
#ifndef PROXY_SINK_SINK_IMPL_H
#define PROXY_SINK_SINK_IMPL_H

#include "proxy/relay/client.h"
#include "proxy/sink/envelope.h"
#include "proxy/sink/sink.h"

struct session {
    struct grave grave;
    struct list node; /* of the worker */
    struct worker *w;
    struct sink *sink;
    struct settings *settings; /* a reference */
    struct trace trace;
    struct client client;
    char *helo; /* owned */
    enum smtp_verb helo_verb;

    /* The step under way. */
    struct timer timer;
    bool waiting; /* it is delayed */
    bool hung;    /* a reply that will never come is awaited */
    enum sink_stage stage;
    smtp_slot slot;
    struct sink_verdict verdict;

    /* The transaction. */
    struct sink_envelope envelope;
    struct sink_verdict body; /* what is to happen when the body comes; done with once it did */
    bool body_due, end_due;   /* end_due: the end of data came while the body's step was under way */
    bool chunks, chunk_last;  /* BDAT; the chunk under way is the last */
    bool data_due;            /* `data` is what happens at the end of the first chunk */
    struct sink_verdict data;
    smtp_slot end_slot;
    char id[SINK_ID_MAX];
    struct sink_file file;
};

/* session.c */
/* The dialogue goes on: no step may answer a client that is gone. */
bool sink_is_open(const struct session *s);
/* A step: what the verdict says happens now, or after its delay. */
void sink_begin(struct session *s, enum sink_stage stage, smtp_slot slot, struct sink_verdict verdict);
/* The same by what the rules say of it. */
void sink_step(struct session *s, enum sink_stage stage, smtp_slot slot);
/* Fills the slot of the step under way; a 421 also closes. */
void sink_answer(struct session *s, const struct smtp_reply *reply);
void sink_forget_message(struct session *s);

/* message.c */
/* The ordinary thing at these steps; told: what a rule says in its place, or NULL. */
void sink_answer_data(struct session *s, const struct smtp_reply *told);
void sink_act_body(struct session *s, const struct smtp_reply *told);
void sink_answer_end(struct session *s, const struct smtp_reply *told);
/* For smtp_server_ops. */
void sink_on_data(void *owner, smtp_slot slot);
void sink_on_body(void *owner, const struct smtp_body_out *pieces);
void sink_on_poisoned(void *owner, const struct smtp_reply *reply);
void sink_on_end(void *owner, smtp_slot slot, const struct smtp_server_data *data);
void sink_on_chunk(void *owner, smtp_slot slot, uint64_t octets, bool last);
void sink_on_chunk_end(void *owner, smtp_slot slot, const struct smtp_server_data *data);

#endif
