/* json-c beside common/json.h: both have a json_bool. */
#ifndef TESTS_UNIT_JSON_C_H
#define TESTS_UNIT_JSON_C_H

#define json_bool json_c_bool
#include <json-c/json.h>
#undef json_bool

#endif
