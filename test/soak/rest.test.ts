import { inject } from 'vitest'
import { describeRequests } from '../support/rest-fuzz.js'

/* 5 000 random requests for each operation of the REST APIs. */

const runs = Math.ceil(5_000 * inject('soakScale'))
describeRequests('client', runs, 600)
describeRequests('admin', runs, 600)
