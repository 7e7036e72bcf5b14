/* Tells systemd of our state where it asked to be told (sd_notify's protocol: a datagram to $NOTIFY_SOCKET). */
#ifndef PROXY_NOTIFY_H
#define PROXY_NOTIFY_H

void notify_systemd(const char *state);

#endif
