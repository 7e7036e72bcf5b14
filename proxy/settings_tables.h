/* What the files of proxy/settings share: the tables of keys, the types of values that only settings have, and the
 * checks that look at more than one value. */
#ifndef PROXY_SETTINGS_TABLES_H
#define PROXY_SETTINGS_TABLES_H

#include "common/conf.h"
#include "proxy/settings.h"

extern const struct conf_table settings_table, settings_server_table, settings_tls_table, settings_auth_table,
    settings_limits_table, settings_timeouts_table, settings_upstream_table;

/* One more at the end, with what it inherits. */
void settings_add_output(struct log_settings *log);
void settings_add_listener(struct settings *s);

/* Types: the member is a char *, an unsigned, a set of bits, or the whole struct that is named. */
extern const struct conf_text settings_hostname;          /* char * */
extern const struct conf_text settings_address;           /* struct listener_settings */
extern const struct conf_text settings_servers;           /* struct upstream_settings */
extern const struct conf_text settings_file_mode;         /* unsigned */
extern const struct conf_text settings_verbs;             /* uint32_t */
extern const struct conf_text settings_caps;              /* smtp_cap_set */
extern const struct conf_text settings_headers;           /* struct log_settings */
extern const struct conf_text settings_dns_servers;       /* struct settings */
extern const struct conf_text settings_certificate_names; /* struct tls_certificate */
extern const struct conf_text settings_tls_name;          /* char * */
extern const struct conf_text settings_mechanisms;        /* sasl_set */
extern const struct conf_text settings_auth_socket;       /* struct auth_settings */

/* Puts Message-ID into an empty list of headers. */
void settings_complete_headers(struct log_settings *l);
/* A domain or an address literal, as it may stand in a banner or an EHLO. */
bool settings_is_hostname(struct span s);

/* Where the value of a listener's key stands: in the listener, else in the global section. `global` is returned as it
 * is. */
enum { SETTINGS_PATH = 96 };
const char *settings_place(const struct conf *c, size_t listener, const char *own, const char *global,
                           char out[SETTINGS_PATH]);

/* The same for a key of a section whose keys stand in listeners directly; the result is `out`. */
const char *settings_place_in(const struct conf *c, size_t listener, const char *section, const char *key,
                              char out[SETTINGS_PATH]);

/* The same for a key of `upstream`, which a listener may have whole. */
const char *settings_place_upstream(const struct conf *c, size_t listener, const char *key, char out[SETTINGS_PATH]);

/* What follows from other values in the keys of TLS; then what lies between them is verified. */
void settings_complete_tls(struct settings *s, const struct conf *c);
void settings_verify_tls(const struct settings *s, struct conf *c);
/* Makes the contexts of all listeners from the files they name; equal ones are made once. */
void settings_open_tls(struct settings *s, struct conf *c);
void settings_close_tls(struct settings *s);
/* Warns of what is risky, and of certificates that end soon. */
void settings_inspect_tls(const struct settings *s, struct conf *c);

/* The same for the keys of AUTH; comes before those of TLS, which depend on where credentials go. */
void settings_complete_auth(struct settings *s);
void settings_close_auth(struct settings *s);
/* Reads the password of our own login. */
void settings_open_auth(struct settings *s, struct conf *c);
void settings_verify_auth(const struct settings *s, struct conf *c);
/* Warns of what can't work for some clients. */
void settings_inspect_auth(const struct settings *s, struct conf *c);

/* Reads the files of users of all listeners; the same file is read once. */
void settings_open_users(struct settings *s, struct conf *c);
void settings_close_users(struct settings *s);
/* Warns of what they can't do, and of a socket that isn't there. */
void settings_inspect_users(const struct settings *s, struct conf *c);

/* Whether a client can come to speak TLS. */
bool settings_has_tls(const struct listener_settings *l);
/* Whether peers may tell that a client has logged in elsewhere (XCLIENT). */
bool settings_is_told_logins(const struct listener_settings *l);
/* Those by which some client may be able to log in. */
sasl_set settings_possible_mechanisms(const struct listener_settings *l);
/* Faults of listeners on which no mail can ever work. */
void settings_verify_possible(const struct settings *s, struct conf *c);
/* Warns of what is legal, and hardly meant. */
void settings_warn(const struct settings *s, struct conf *c);

/* Warns of files that are read again by a reload, which `user` can't read. */
void settings_warn_rights(const struct settings *s, struct conf *c);

/* Only peers on this machine reach it. */
bool settings_is_local(const struct endpoint *at);

/* The keys of log outputs: which an output of its type has, and what lies between them. */
#ifdef HAVE_RDKAFKA
#define SETTINGS_KAFKA true
#else
#define SETTINGS_KAFKA false
#endif
extern const struct conf_text settings_output_address; /* struct output_settings */
extern const struct conf_text settings_kafka_options;  /* struct kafka_options */
/* What follows from the type and from other values. */
void settings_complete_outputs(struct settings *s, struct conf *c);
void settings_close_outputs(struct settings *s);
bool settings_output_has(const void *output, const struct conf_key *key);
void settings_verify_outputs(const struct settings *s, struct conf *c);
void settings_inspect_outputs(const struct settings *s, struct conf *c);
/* Faults of outputs that would write into one file. */
void settings_verify_files(const struct log_settings *log, struct conf *c);
/* The directory of a file that is to be made. */
void settings_inspect_directory(struct conf *c, const char *path, const char *file);
void settings_verify_group(struct conf *c, const char *path, const char *group);

/* The keys of hashes and chains, from their files. */
void settings_open_keys(struct settings *s, struct conf *c);
void settings_close_keys(struct settings *s);
void settings_inspect_keys(const struct settings *s, struct conf *c);

/* Faults that lie between values. */
void settings_verify(const struct settings *s, struct conf *c);
/* What only `check` does: looks at files and sockets, and warns. */
void settings_inspect(const struct settings *s, struct conf *c);

#endif
