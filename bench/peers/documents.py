"""What is asked. Twenty fields of each handoff: some 67 KB for a hundred."""

QUEUE = """query Queue($first: Int!) {
  queue(first: $first) {
    edges {
      node {
        id intent priority state notes createdAt claimedAt
        session {
          id status problemSummary problemDomain stepCount confidenceTier branching handoffCount psaTicketId
          psaConnectionId actualCause createdAt resolvedAt
        }
      }
    }
  }
}"""

POSTGRAPHILE_QUEUE = """query Queue($account: UUID!, $first: Int!) {
  queue: allHandoffs(
    first: $first
    condition: { accountId: $account, state: "OPEN" }
    orderBy: [CREATED_AT_DESC, ROW_ID_DESC]
  ) {
    nodes {
      id: rowId intent priority state notes createdAt claimedAt
      session: sessionByAccountIdAndSessionId {
        id: rowId status problemSummary problemDomain stepCount confidenceTier activeBranchId handoffCount
        psaTicketId psaConnectionId actualCause createdAt resolvedAt
      }
    }
  }
}"""

CREATE = """mutation Create($input: CreateHandoffInput!) {
  createHandoff(input: $input) {
    __typename
    ... on CreateHandoffSuccess {
      reach { online email unreachable }
      handoff { id intent priority state notes createdAt session { id status handoffCount } }
    }
  }
}"""

CLAIM = """mutation Claim($id: ID!) {
  claimHandoff(input: { handoffId: $id }) {
    __typename
    ... on ClaimHandoffSuccess { handoff { id state claimedAt session { id status } } }
  }
}"""
