// SPDX-License-Identifier: LGPL-2.1-or-later
#define NAME "one"
#define STEP 1
#include "program.h"
