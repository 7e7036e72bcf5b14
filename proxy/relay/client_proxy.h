/* The PROXY header before everything else on a client's connection (protocol.md Q); for client.c alone. */
#ifndef PROXY_RELAY_CLIENT_PROXY_H
#define PROXY_RELAY_CLIENT_PROXY_H

struct client;

/* Waits for the header, within timeouts.greeting. */
void client_proxy_begin(struct client *c);
/* Bytes of it have come, or the end. */
void client_proxy_readable(struct client *c);
/* The time is over. */
void client_proxy_late(struct client *c);

#endif
