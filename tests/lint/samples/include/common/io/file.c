#include <zmq.h>
#include "row.pb-c.h"
