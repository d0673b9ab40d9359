// SPDX-License-Identifier: LGPL-2.1-or-later
#define NAME "second"
#define STEP 10
#include "program.h"
