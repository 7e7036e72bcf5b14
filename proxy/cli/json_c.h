/* json-c beside our own writer: both have a json_bool, and the type is theirs alone. */
#ifndef PROXY_CLI_JSON_C_H
#define PROXY_CLI_JSON_C_H

#define json_bool json_c_bool
#include <json-c/json.h>
#undef json_bool

#endif
