import { inject } from 'vitest'
import { describeRequests } from '../support/rest-fuzz.js'

/* 5 000 random requests for each operation of the REST APIs; 200 in CI. */

const runs = inject('soakScale') < 1 ? 200 : 5_000
describeRequests('client', runs, 600)
describeRequests('admin', runs, 600)
