import { inject } from 'vitest'
import { describeClientApi } from '../support/rest-fuzz.js'

/* 5 000 random requests for each operation of the client API. */

describeClientApi(Math.ceil(5_000 * inject('soakScale')), 600)
