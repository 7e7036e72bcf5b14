/* Keys of `server` and `limits` that the protocol itself depends on. */
#include "proxy/relay/engine.h"

struct smtp_server_config engine_config(const struct settings *settings, const struct listener_settings *ls)
{
    return (struct smtp_server_config){
        .lenient_addresses = ls->server.lenient_addresses,
        .bare_newline = ls->server.bare_newline,
        .disabled_commands = ls->server.disabled_commands,
        .max_command_length = ls->limits.max_command_length,
        .max_unrecognized_commands = ls->limits.max_unrecognized_commands,
        .max_recipients = ls->limits.max_recipients,
        .max_received = ls->limits.max_received,
        .max_message_size = ls->server.max_message_size,
        .require_tls = ls->server.require_tls,
        .lmtp = ls->server.protocol == PROTOCOL_LMTP,
        .auth = ls->auth.mode != AUTH_OFF,
        .auth_required = ls->auth.mode == AUTH_REQUIRED,
        .auth_require_tls = ls->auth.require_tls,
        .need_auth = ls->auth.required_wire != NULL ? &ls->auth.required : NULL,
        .max_unauthenticated_commands = ls->limits.max_unauthenticated_commands,
        .max_auth_failures = ls->limits.max_auth_failures,
        .headers = &settings->log.headers,
    };
}
