/* test_json once more, with a copy of the writer that is compiled without SSE2. */
#define JSON_PORTABLE
#include "common/json.c"
#include "tests/unit/test_json.c"
